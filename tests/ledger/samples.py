"""Jobs, plans and rivals for the tests of the ledger."""

from datetime import UTC, datetime
from pathlib import Path

from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner
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
