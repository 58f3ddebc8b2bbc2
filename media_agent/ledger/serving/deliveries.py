"""Which endpoint is to hear of the end of which job, and whether it did.

The event that ends a job leaves its deliveries in the same transaction, whichever process keeps it,
so none is lost. A job that is reopened and ends again has another event, and it is sent too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from media_agent.ledger.rows import insert
from media_agent.ledger.store.database import Database, Row, Transaction, reads_row
from media_agent_schemas.jobs import JobStatus

KEPT_DAYS = 30
"""How long a delivery that was made, or given up, is remembered."""

_DAY = 86_400.0  # seconds
_LISTENING = """
SELECT name, events FROM endpoints JOIN jobs
    ON endpoints.caller IS NULL OR endpoints.caller = jobs.caller
WHERE jobs.id = :job AND part_of IS NULL"""
_DUE = """
SELECT * FROM deliveries
WHERE endpoint = :endpoint AND due_at <= :now AND NOT EXISTS
    (SELECT 1 FROM endpoints WHERE name = endpoint AND disabled IS NOT NULL)
ORDER BY due_at LIMIT :most"""
_ONE = "endpoint = :endpoint AND job_id = :job AND sequence = :sequence"
_TAKE = f"UPDATE deliveries SET due_at = :due, attempts = :attempts WHERE {_ONE}"
_DELIVERED = f"""
UPDATE deliveries SET due_at = NULL, answer = :answer, delivered_at = :now WHERE {_ONE}"""
_MISSED = f"""
UPDATE deliveries SET due_at = :due, answer = :answer
WHERE {_ONE} AND attempts = :attempts AND due_at IS NOT NULL"""
_ENABLE = "UPDATE endpoints SET disabled = NULL WHERE name = :name"
_AGAIN = """
UPDATE deliveries SET due_at = :now, attempts = 0
WHERE endpoint = :name AND due_at IS NOT NULL"""
_FORGET = "DELETE FROM deliveries WHERE due_at IS NULL AND created_at < :until"


@dataclass(frozen=True, slots=True)
class EndpointTerms:
    """Where events are sent, as the settings say it."""

    url: str
    events: tuple[str, ...]
    """The types that it hears of, such as "video.completed"."""
    caller: str | None = None
    """Whose jobs it hears of; None: all."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint, and how it does."""

    name: str
    url: str
    disabled: str | None
    """Why nothing is sent there any more; None: it is in use."""
    waiting: int
    """Events that it is still to get."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of one job, for one endpoint."""

    endpoint: str
    job_id: str
    sequence: int
    """The number of the event that ended the job."""
    event: str
    """What is sent, such as "video.completed"."""
    created_at: float
    """When the job ended, in seconds since the epoch; as all times here."""
    attempts: int = 0
    due_at: float | None = None
    """When it is sent next; None: never again."""
    delivered_at: float | None = None
    answer: str | None = None
    """What came of the last attempt."""

    @property
    def id(self) -> str:
        """The name of the event, the same on each attempt and for each endpoint."""
        return f"evt_{self.job_id}_{self.sequence}"


class Deliveries:
    """The part of the ledger that knows endpoints and what they are sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep_endpoints(self, wanted: Mapping[str, EndpointTerms], now: float) -> None:
        """Make the endpoints those that are wanted; one with another URL is enabled.

        What waits for an endpoint that is gone is dropped, and what is long over is forgotten.
        """
        with self._database.writing() as transaction:
            known = {row["name"]: row["url"] for row in transaction.rows("SELECT * FROM endpoints")}
            for name in known.keys() - wanted.keys():
                transaction.change("DELETE FROM endpoints WHERE name = :name", name=name)
            for name, terms in wanted.items():
                values = {
                    "url": terms.url,
                    "events": json.dumps(terms.events),
                    "caller": terms.caller,
                }
                if name not in known:
                    insert(transaction, "endpoints", name=name, **values)
                    continue
                transaction.update("endpoints", {"name": name}, values)
                if known[name] != terms.url:
                    _enable(transaction, name, now)
            transaction.change(_FORGET, until=now - KEPT_DAYS * _DAY)

    def endpoints(self) -> list[EndpointState]:
        """Return the endpoints by name."""
        query = """
            SELECT *, (SELECT count(*) FROM deliveries
                WHERE endpoint = name AND due_at IS NOT NULL) AS waiting
            FROM endpoints ORDER BY name"""
        with self._database.reading() as transaction:
            return [
                EndpointState(row["name"], row["url"], row["disabled"], row["waiting"])
                for row in transaction.rows(query)
            ]

    def take(self, endpoint: str, now: float, *, lease: float, most: int) -> list[Delivery]:
        """Return what an endpoint is to be sent now; for so many seconds nobody else gets it.

        Each counts as attempted from here on: whoever dies over it has tried it.
        """
        with self._database.reading() as transaction:  # nearly always there is nothing
            if not transaction.rows(_DUE, endpoint=endpoint, now=now, most=1):
                return []
        with self._database.writing() as transaction:
            due = transaction.rows(_DUE, endpoint=endpoint, now=now, most=most)
            taken = [
                replace(_delivery_of(row), attempts=row["attempts"] + 1, due_at=now + lease)
                for row in due
            ]
            for each in taken:
                transaction.change(_TAKE, **_name_of(each), due=each.due_at, attempts=each.attempts)
        return taken

    def mark_delivered(self, delivery: Delivery, answer: str, now: float) -> None:
        """Keep that an endpoint has an event, so that it is never sent again."""
        with self._database.writing() as transaction:
            transaction.change(_DELIVERED, **_name_of(delivery), answer=answer, now=now)

    def mark_missed(self, delivery: Delivery, answer: str, *, due_at: float | None) -> None:
        """Keep that an attempt failed, and when the next one is due; None: it is given up.

        Whoever took it since then, or delivered it, knows better.
        """
        values = {"due": due_at, "answer": answer, "attempts": delivery.attempts}
        with self._database.writing() as transaction:
            transaction.change(_MISSED, **_name_of(delivery), **values)

    def has_delivered_since(self, endpoint: str, time: float) -> bool:
        """Return whether an endpoint has got anything since a time."""
        query = "SELECT 1 FROM deliveries WHERE endpoint = :endpoint AND delivered_at >= :time"
        with self._database.reading() as transaction:
            return transaction.row(f"{query} LIMIT 1", endpoint=endpoint, time=time) is not None

    def disable(self, endpoint: str, reason: str) -> None:
        """Send nothing more to an endpoint; what it should get waits."""
        with self._database.writing() as transaction:
            transaction.update("endpoints", {"name": endpoint}, {"disabled": reason})

    def enable(self, endpoint: str, now: float) -> None:
        """Send to an endpoint again, at once and from the first attempt, what waits for it."""
        with self._database.writing() as transaction:
            _enable(transaction, endpoint, now)

    def list(self, *, limit: int) -> Sequence[Delivery]:
        """Return the newest deliveries, newest first."""
        query = "SELECT * FROM deliveries ORDER BY created_at DESC, job_id, endpoint LIMIT :limit"
        with self._database.reading() as transaction:
            return [_delivery_of(row) for row in transaction.rows(query, limit=limit)]


def announce(
    transaction: Transaction, job_id: str, status: JobStatus, *, sequence: int, time: datetime
) -> None:
    """Leave the end of a job for every endpoint that is to hear of it; segments are none's."""
    event, seconds = f"video.{status}", time.timestamp()
    for row in transaction.rows(_LISTENING, job=job_id):
        if event in json.loads(row["events"]):
            insert(
                transaction,
                "deliveries",
                endpoint=row["name"],
                job_id=job_id,
                sequence=sequence,
                event=event,
                created_at=seconds,
                attempts=0,
                due_at=seconds,
            )


def _enable(transaction: Transaction, name: str, now: float) -> None:
    transaction.change(_ENABLE, name=name)
    transaction.change(_AGAIN, name=name, now=now)


def _name_of(delivery: Delivery) -> dict[str, str | int]:
    return {
        "endpoint": delivery.endpoint,
        "job": delivery.job_id,
        "sequence": delivery.sequence,
    }


@reads_row
def _delivery_of(row: Row) -> Delivery:
    return Delivery(**{name: row[name] for name in row.keys()})  # noqa: SIM118
