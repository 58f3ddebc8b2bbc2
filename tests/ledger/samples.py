"""Jobs, plans and rivals for the tests of the ledger."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner
from media_agent.ledger.store.database import Column
from media_agent_schemas import (
    BackendEvent,
    Estimate,
    JobProgressed,
    OperationRef,
    Plan,
    Policy,
    VideoJob,
    VideoRequest,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REF = OperationRef(backend="b", operation_id="op-1")
_TABLES = ("jobs", "owners", "outcomes", "lessons", "uploads", "api_keys", "endpoints")
ELSEWHERE = Owner(host="elsewhere", pid=1, started="then", token="t")


def plan(prompt: str = "a cat", cost: float | None = None) -> Plan:
    request = VideoRequest(prompt=prompt, num_frames=48, fps=24)
    estimate = Estimate(cost_usd=cost)
    return Plan(backend="b", model="m", policy=Policy.ADJUST, request=request, estimate=estimate)


def job(job_id: str = "one", created_at: datetime = NOW, cost: float | None = None) -> VideoJob:
    planned = plan(cost=cost)
    return VideoJob(
        id=job_id,
        created_at=created_at,
        updated_at=created_at,
        request=planned.request,
        plan=planned,
    )


def append_all(ledger: Ledger, *events: BackendEvent) -> list[int | None]:
    """Append events and return the number of each, None for a repetition."""
    numbered = [ledger.events.append("one", event, NOW) for event in events]
    return [None if event is None else event.sequence for event in numbered]


def progress(number: int) -> JobProgressed:
    return JobProgressed(phase=f"phase {number}")


def rival(path: Path, *, alive: bool) -> Ledger:
    """Return the ledger of a process elsewhere that believes others alive or gone."""
    return Ledger(path, owner=ELSEWHERE, is_owner_alive=lambda owner, silent: alive)


@dataclass
class Place:
    """Where the ledgers of a test are: a file, or a database of Postgres."""

    path: Path
    url: SecretStr | None = None
    opened: list[Ledger] = field(default_factory=list)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Another process opens ledgers of its own."""
        return Place, (self.path, self.url)

    @property
    def name(self) -> str:
        return self.open().database.name

    def open(self, **options: Any) -> Ledger:
        ledger = Ledger(self.path, url=self.url, **options)
        self.opened.append(ledger)
        return ledger

    def rival(self, *, alive: bool) -> Ledger:
        """Return the ledger of a process elsewhere that believes others alive or gone."""
        return self.open(owner=ELSEWHERE, is_owner_alive=lambda owner, silent: alive)

    def change(self, statement: str, **values: Column) -> None:
        """Change rows behind the back of everybody."""
        with self.open().database.writing() as transaction:
            transaction.change(statement, **values)

    def value(self, query: str) -> Any:
        with self.open().database.reading() as transaction:
            (row,) = transaction.rows(query)
        (name,) = row.keys()
        return row[name]

    def empty(self) -> None:
        with self.open().database.writing() as transaction:
            for table in _TABLES:
                transaction.change(f"DELETE FROM {table}")  # and what refers to them

    def close(self) -> None:
        for ledger in self.opened:
            ledger.close()
