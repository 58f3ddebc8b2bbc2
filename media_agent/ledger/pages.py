"""Jobs as they are looked up: a page of those that pass a filter, and the one that a name means.

A page reads what stands in columns and small files, never a request or a plan: those may be large.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from media_agent.errors import InvalidRequestError, JobNotFoundError
from media_agent.ledger.costs import cost_of
from media_agent.ledger.rows import text_of
from media_agent.ledger.state import JobCost
from media_agent.ledger.store.database import Row, Transaction, reads_row
from media_agent.ledger.store.tables import LISTED
from media_agent_schemas.jobs import JobStatus, JobSummary

LAST = "last"
"""The name of the newest job."""

_FEWEST_LETTERS = 4  # of an id that is cut short
_NAMED = 5  # candidates that an error names
_MOST = 2**63 - 1  # rows of a page
_NEWEST_FIRST = "ORDER BY created_at DESC, id DESC"
_OLDEST_FIRST = "ORDER BY created_at, id"
_SUMMARIES = """
SELECT jobs.id, status, created_at, updated_at, backend, model, title, label, quote_usd, progress,
    phase, artifacts.path, jobs.seconds,
    (SELECT count(*) FROM jobs AS segments WHERE segments.part_of IN
        (SELECT key FROM submissions WHERE job_id = jobs.id)) AS segments
FROM jobs LEFT JOIN artifacts ON artifacts.job_id = jobs.id AND number = 0
WHERE jobs.id IN ({chosen}) {order}"""

_OWNER_OF_KEY = """
SELECT id, part_of FROM jobs
WHERE removed_at IS NULL
    AND id IN (:name, (SELECT job_id FROM submissions WHERE key = :name))
ORDER BY id = :name DESC"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list; what is not given excludes none."""

    statuses: tuple[JobStatus, ...] = ()
    since: datetime | None = None
    backend: str | None = None
    """A backend, or one of its models: "backend/model"."""
    label: str | None = None
    caller: str | None = None
    before: str | None = None
    """The id of the last job of the page before: the list goes on behind it."""
    limit: int | None = None
    oldest_first: bool = False
    """Then `before` is the last of the page before as well: the list goes on with newer ones."""


def read_page(transaction: Transaction, chosen: JobFilter) -> list[JobSummary]:
    """Return the jobs that pass the filter, in its order; segments stand under their job.

    Raises:
        JobNotFoundError: there is no job `before`.
    """
    query, values = choose_ids(transaction, chosen)
    rows = transaction.rows(_SUMMARIES.format(chosen=query, order=_order_of(chosen)), **values)
    return [_summary_of(row, cost_of(transaction, row["id"])) for row in rows]


def choose_ids(
    transaction: Transaction, chosen: JobFilter
) -> tuple[str, dict[str, str | int | float | None]]:
    """Return the query for the ids of a page, and its values; an index answers it alone."""
    conditions = [LISTED]
    values: dict[str, str | int | float | None] = {
        "limit": _MOST if chosen.limit is None else min(chosen.limit, _MOST)
    }
    if chosen.statuses:
        words = {f"status{number}": word for number, word in enumerate(chosen.statuses)}
        conditions.append(f"status IN ({', '.join(f':{name}' for name in words)})")
        values |= words
    if chosen.since is not None:
        conditions.append("created_at >= :since")
        values["since"] = text_of(chosen.since)
    if chosen.backend is not None:
        backend, _, model = chosen.backend.partition("/")
        conditions.append("backend = :backend" + (" AND model = :model" if model else ""))
        values |= {"backend": backend} | ({"model": model} if model else {})
    if chosen.label is not None:
        conditions.append("label = :label")
        values["label"] = chosen.label
    if chosen.caller is not None:
        conditions.append("caller = :caller")
        values["caller"] = chosen.caller
    if chosen.before is not None:
        sign = ">" if chosen.oldest_first else "<"
        conditions.append(f"(created_at, id) {sign} (:time, :before)")
        values |= {"time": _time_of(transaction, chosen.before), "before": chosen.before}
    where = " AND ".join(conditions)
    return f"SELECT id FROM jobs WHERE {where} {_order_of(chosen)} LIMIT :limit", values


def _order_of(chosen: JobFilter) -> str:
    return _OLDEST_FIRST if chosen.oldest_first else _NEWEST_FIRST


def find_id(transaction: Transaction, name: str) -> str:
    """Return the id of the job that a name means: its id, how only its id begins, or "last".

    Raises:
        JobNotFoundError: there is none.
        InvalidRequestError: several begin so; it names them.
    """
    found = list(_find_ids(transaction, name))
    if len(found) == 1:
        return found[0]
    if not found:
        raise JobNotFoundError(
            f"unknown job {name!r}", hint="media-agent jobs list shows the jobs there are"
        )
    named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    raise InvalidRequestError(f"{name!r} begins the ids of several jobs", hint=f"one of {named}")


def find_whole(transaction: Transaction, name: str) -> str | None:
    """Return the job that a job or the key of a submission belongs to, not as a segment."""
    part_of: str | None = name
    whole = None
    while part_of is not None:
        row = transaction.row(_OWNER_OF_KEY, name=part_of)
        if row is None:
            break
        whole, part_of = row["id"], row["part_of"]
    return whole


def _find_ids(transaction: Transaction, name: str) -> Iterator[str]:
    exact = "SELECT id FROM jobs WHERE id = :name AND removed_at IS NULL"
    row = transaction.row(exact, name=name)
    if row is None and name == LAST:
        row = transaction.row(f"SELECT id FROM jobs WHERE {LISTED} {_NEWEST_FIRST} LIMIT 1")
    if row is not None:
        yield row["id"]
    elif len(name) >= _FEWEST_LETTERS:
        query = f"""
            SELECT id FROM jobs WHERE id >= :name AND id < :end AND {LISTED}
            ORDER BY id DESC LIMIT {_NAMED + 1}"""
        for each in transaction.rows(query, name=name, end=f"{name}\U0010ffff"):
            yield each["id"]


def _time_of(transaction: Transaction, job_id: str) -> str:
    row = transaction.row("SELECT created_at FROM jobs WHERE id = :id", id=job_id)
    if row is None:
        raise JobNotFoundError(f"unknown job {job_id!r}")
    return str(row["created_at"])


@reads_row
def _summary_of(row: Row, cost: JobCost) -> JobSummary:
    names = (
        "id",
        "backend",
        "model",
        "title",
        "label",
        "quote_usd",
        "path",
        "segments",
        "progress",
        "phase",
    )
    return JobSummary(
        **{name: row[name] for name in names},
        status=JobStatus(row["status"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        seconds=row["seconds"],
        cost_usd=cost.usd,
        cost_source=cost.source,
    )
