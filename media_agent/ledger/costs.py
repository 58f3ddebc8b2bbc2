"""What jobs cost: as billed, else as quoted; of a video in segments the sum of its segments."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from media_agent.ledger.rows import text_of
from media_agent.ledger.settlement import HELD
from media_agent.ledger.state import JobCost
from media_agent.ledger.store.database import Database, Row, Transaction, reads_row
from media_agent_schemas.base import round_usd
from media_agent_schemas.jobs import CostSource

CostGroup = Literal["day", "backend", "model", "label"]
_TIME = "submissions.created_at"

_SUMS = f"""
    sum(coalesce(billed_usd, quoted_usd)) AS usd,
    sum(billed_usd) AS billed,
    sum(CASE WHEN billed_usd IS NULL THEN quoted_usd END) AS quoted,
    count(*) FILTER (WHERE coalesce(billed_usd, quoted_usd) IS NULL) AS unknown,
    sum({HELD}) AS held"""
_OLD = """
    count(*) FILTER (WHERE billed_usd IS NULL AND quoted_usd > 0 AND has_old_price) AS old"""
_OF_JOB = f"""
SELECT count(*) AS sent, {_SUMS}
FROM submissions
WHERE state != 'refused' AND (job_id = :job OR job_id IN (
    SELECT id FROM jobs
    WHERE part_of IN (SELECT key FROM submissions WHERE job_id = :job)))"""
_WHOLE = """coalesce((
        SELECT whole.job_id FROM submissions AS whole WHERE whole.key = part_of
    ), submissions.job_id)"""
_NAMES = {
    "day": "substr(submissions.created_at, 1, 10)",  # UTC
    "backend": "submissions.backend",
    "model": "submissions.backend || '/' || submissions.model",
    "label": "coalesce(label, '')",
}


@dataclass(frozen=True, slots=True)
class CostRow:
    """What the jobs of one day, backend, model or label cost; or all of them."""

    name: str
    jobs: int
    """A video in segments is one job, in each row that has one of them and in the total."""
    usd: float
    billed_usd: float
    quoted_usd: float
    """What nobody has billed, as it was quoted."""
    unknown: int
    """Submissions of which no price is known; they are in no sum."""
    old_prices: int = 0
    """Submissions that were quoted by a price that was old even then."""
    held_usd: float = 0.0
    """Held in the budgets for what is not over, or of unknown outcome."""


class Costs:
    """The part of the ledger that adds up money."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, job_id: str) -> JobCost:
        """Return what a job has cost so far."""
        with self._database.reading() as transaction:
            return cost_of(transaction, job_id)

    def since(self, time: datetime, by: CostGroup) -> list[CostRow]:
        """Return what was, or may have been, accepted since a time, a row for each group."""
        return self._add_up(time, by)

    def total(self, time: datetime) -> CostRow:
        """Return all that was, or may have been, accepted since a time."""
        rows = self._add_up(time)
        return rows[0] if rows else CostRow("total", 0, 0.0, 0.0, 0.0, 0)

    def _add_up(self, time: datetime, by: CostGroup | None = None) -> list[CostRow]:
        with self._database.reading() as transaction:
            name = "'total'" if by is None else _NAMES[by]
            query = f"""
                SELECT {name} AS name, count(DISTINCT {_WHOLE}) AS jobs, {_SUMS}, {_OLD}
                FROM submissions JOIN jobs ON jobs.id = job_id
                WHERE state != 'refused' AND {_TIME} >= :since
                GROUP BY 1 ORDER BY 1"""
            return [*map(_row_of, transaction.rows(query, since=text_of(time)))]


def cost_of(transaction: Transaction, job_id: str) -> JobCost:
    """Return what a job has cost so far; where one of its segments is unknown, all of it is."""
    (row,) = transaction.rows(_OF_JOB, job=job_id)
    return _cost_of(row)


@reads_row
def _cost_of(row: Row) -> JobCost:
    if not row["sent"]:
        return JobCost(0.0, None)
    if row["unknown"]:
        return JobCost(None, None, _amount(row["held"]))
    source: CostSource = "free"
    if row["billed"] and row["quoted"]:
        source = "mixed"
    elif row["billed"]:
        source = "billed"
    elif row["quoted"]:
        source = "quote"
    return JobCost(_amount(row["usd"]), source, _amount(row["held"]))


@reads_row
def _row_of(row: Row) -> CostRow:
    return CostRow(
        name=row["name"],
        jobs=row["jobs"],
        usd=_amount(row["usd"]),
        billed_usd=_amount(row["billed"]),
        quoted_usd=_amount(row["quoted"]),
        unknown=row["unknown"],
        old_prices=row["old"],
        held_usd=_amount(row["held"]),
    )


def _amount(usd: float | None) -> float:
    return 0.0 if usd is None else round_usd(usd)
