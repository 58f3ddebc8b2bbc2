"""What was used by whom, for those who bill others: jobs, seconds of video, cost, resale price."""

from dataclasses import dataclass
from datetime import datetime

from media_agent.ledger.rows import text_of
from media_agent.ledger.settlement import HELD
from media_agent.ledger.store.database import Database, Row, reads_row
from media_agent_schemas.base import round_usd

_WHOLE = "coalesce(whole.job_id, jobs.id)"
_COST = """CASE WHEN submissions.settled_at IS NULL THEN 0
    ELSE coalesce(submissions.billed_usd, submissions.quoted_usd, 0) END"""
_USED = f"""
SELECT coalesce(jobs.caller, '') AS caller, coalesce(jobs.label, '') AS label,
    submissions.backend AS backend, submissions.model AS model,
    count(DISTINCT {_WHOLE}) AS jobs,
    sum({_COST}) AS cost,
    sum(CASE WHEN submissions.settled_at IS NOT NULL THEN submissions.billed_usd END) AS billed,
    sum({HELD}) AS held,
    sum(submissions.refunded_usd) AS refunded,
    sum({_COST} * submissions.resale_factor) AS resale,
    sum(CASE WHEN coalesce(submissions.billed_usd, submissions.quoted_usd) IS NULL
        THEN 1 ELSE 0 END) AS unknown
FROM submissions JOIN jobs ON jobs.id = submissions.job_id
    LEFT JOIN submissions AS whole ON whole.key = jobs.part_of
WHERE submissions.state != 'refused'
    AND submissions.created_at >= :since AND submissions.created_at < :until
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""
_SECONDS = """
SELECT coalesce(jobs.caller, '') AS caller, coalesce(jobs.label, '') AS label,
    submissions.backend AS backend, submissions.model AS model, sum(jobs.seconds) AS seconds
FROM submissions JOIN jobs ON jobs.id = submissions.job_id
WHERE submissions.state = 'accepted' AND jobs.part_of IS NULL
    AND submissions.created_at >= :since AND submissions.created_at < :until
GROUP BY 1, 2, 3, 4"""
_NAMES = ("caller", "label", "backend", "model")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What the jobs of one caller, label and model used."""

    caller: str
    """The owner of the API keys that they were asked with; empty: this machine."""
    label: str
    backend: str
    model: str
    jobs: int
    seconds: float
    """Of delivered video."""
    cost_usd: float
    """What is settled: as billed, else as quoted."""
    billed_usd: float
    held_usd: float
    """What is not settled: under way, or of unknown outcome."""
    refunded_usd: float
    """What providers paid back; the cost is without it."""
    resale_usd: float
    """The cost of each job by the factor of the key that it was asked with."""
    unknown: int
    """Submissions of which no price is known; they are in no sum."""


def read_usage(database: Database, since: datetime, until: datetime) -> list[UsageRow]:
    """Return what was submitted from a time on and before another, a row for each kind of use."""
    span = {"since": text_of(since), "until": text_of(until)}
    with database.reading() as transaction:
        seconds = {_key_of(row): row["seconds"] for row in transaction.rows(_SECONDS, **span)}
        rows = transaction.rows(_USED, **span)
        return [_row_of(row, seconds.get(_key_of(row))) for row in rows]


def _key_of(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in _NAMES)


@reads_row
def _row_of(row: Row, seconds: float | None) -> UsageRow:
    return UsageRow(
        caller=row["caller"],
        label=row["label"],
        backend=row["backend"],
        model=row["model"],
        jobs=row["jobs"],
        seconds=round(seconds or 0.0, 3),
        cost_usd=round_usd(row["cost"]),
        billed_usd=round_usd(row["billed"] or 0.0),
        held_usd=round_usd(row["held"]),
        refunded_usd=round_usd(row["refunded"] or 0.0),
        resale_usd=round_usd(row["resale"]),
        unknown=row["unknown"],
    )
