"""How submissions ended: what a router learns from. Never a prompt, nor anything of a caller."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from media_agent.errors import BackendError, ContentRejectedError, SubmitUncertainError
from media_agent.ledger.rows import plan_of, text_of
from media_agent.ledger.store.database import DamagedRowError, Database, Row, Transaction, reads_row
from media_agent.negotiation.sizes import find_short_side
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import JobCompleted, JobFailed, TerminalEvent
from media_agent_schemas.plan import Plan

_LATE = 60.0  # seconds after which no other process adds an outcome with a lower number
_TEXTS = ("backend", "model", "ending", "code", "priced_on")  # all else are numbers
_END_OF_TIME = 253_402_300_800.0  # seconds since the epoch: the year 10000
_BATCH = 10_000  # outcomes that one transaction reads, far sooner than a server ends an idle one
_LOGGER = logging.getLogger(__name__)


class Ending(StrEnum):
    """How a submission ended; what was cancelled, or is unknown, says nothing of its offer."""

    DONE = "done"
    FAILED = "failed"
    MODERATED = "moderated"
    REFUSED = "refused"  # before anything was accepted


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one submission ended. Times in seconds since the epoch, money in USD; None: unknown."""

    backend: str
    model: str
    ending: Ending
    began_at: float
    ended_at: float
    code: str | None = None
    """Of the error; None: there was none."""
    queue_seconds: float | None = None
    """From its submission to the moment that work began."""
    seconds: float | None = None
    """From its submission to the finished file, or to the word that there will be none."""
    expected_seconds: float | None = None
    """What the catalogue said of that."""
    video_seconds: float | None = None
    """The length of the video that was asked for."""
    short_side: int | None = None
    """Of its frames, in pixels."""
    quoted_usd: float | None = None
    billed_usd: float | None = None
    priced_on: str | None = None
    """The date of the price that was quoted."""

    @property
    def offer(self) -> str:
        """Return "backend/model"."""
        return f"{self.backend}/{self.model}"

    @property
    def is_done(self) -> bool:
        """Return whether there is a video."""
        return self.ending is Ending.DONE

    @property
    def cost_usd(self) -> float | None:
        """Return what it cost as the ledger counts it: as billed, else as quoted; refused: 0."""
        if self.billed_usd is not None:
            return self.billed_usd
        return 0.0 if self.ending is Ending.REFUSED else self.quoted_usd


class Outcomes:
    """The part of the ledger that keeps outcomes, and what was learned from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def exist(self) -> bool:
        """Return whether there is a ledger yet; looking for outcomes makes none."""
        return self._database.is_there()

    def read(
        self, after: int = 0, *, since: float = 0.0, newest: int = 1_000_000
    ) -> list[tuple[int, Outcome]]:
        """Return outcomes by their number, in order: those above `after`, of these the newest.

        One that cannot be read is left out: it says nothing of the others.
        """
        found: list[tuple[int, Outcome]] = []
        last, left = self._number_before(after, since, newest), newest
        while left > 0 and (rows := self._batch(last, since, min(left, _BATCH))):
            found += _outcomes_of(rows)
            last, left = rows[-1]["id"], left - len(rows)
        return found

    def read_lesson(self, name: str) -> tuple[int, str] | None:
        """Return what was learned under a name, and from which outcomes: up to this number."""
        query = "SELECT last_outcome, lesson FROM lessons WHERE name = :name"
        with self._database.reading() as transaction:
            row = transaction.row(query, name=name)
            return None if row is None else (int(row["last_outcome"]), str(row["lesson"]))

    def keep_lesson(self, name: str, last_outcome: int, lesson: str) -> None:
        """Keep what was learned; it can be learned again, so that others under it are replaced."""
        with self._database.writing(durably=False) as transaction:
            transaction.change("DELETE FROM lessons")
            transaction.insert(
                "lessons", {"name": name, "last_outcome": last_outcome, "lesson": lesson}
            )

    @staticmethod
    def is_complete_up_to(outcome: Outcome, now: float) -> bool:
        """Return whether all that ended before an outcome is in the ledger too."""
        return outcome.ended_at < now - _LATE

    def _number_before(self, after: int, since: float, newest: int) -> int:
        """Return the number after which there are no more than the newest."""
        query = """
            SELECT id FROM outcomes WHERE id > :after AND ended_at >= :since
            ORDER BY id DESC LIMIT 1 OFFSET :newest"""
        with self._database.reading() as transaction:
            row = transaction.row(query, after=after, since=since, newest=newest)
        return after if row is None else int(row["id"])

    def _batch(self, after: int, since: float, most: int) -> list[Row]:
        query = """
            SELECT * FROM outcomes WHERE id > :after AND ended_at >= :since
            ORDER BY id LIMIT :most"""
        with self._database.reading() as transaction:
            return transaction.rows(query, after=after, since=since, most=most)


def record_start(transaction: Transaction, job_id: str, time: datetime) -> None:
    """Keep when work on what a job submitted began, the first time."""
    begin = """
        UPDATE submissions SET started_at = :time
        WHERE job_id = :job AND state = 'accepted' AND started_at IS NULL"""
    transaction.change(begin, job=job_id, time=text_of(time))


def record_end(transaction: Transaction, job_id: str, event: TerminalEvent, time: datetime) -> None:
    """Keep how the accepted work of a job ended, where that says something of its offer."""
    row = transaction.row(f"{_SUBMISSIONS} WHERE job_id = :job AND state = 'accepted'", job=job_id)
    if row is None:
        return
    if isinstance(event, JobCompleted):
        _record(transaction, row, Ending.DONE, None, time)
    elif isinstance(event, JobFailed) and event.error.code in _OF_THE_OFFER:
        _record(transaction, row, _ending_of(event.error, Ending.FAILED), event.error, time)


def record_refusal(transaction: Transaction, key: str, error: ErrorInfo, time: datetime) -> None:
    """Keep that a backend refused a submission, unless the request was to blame, or we."""
    row = transaction.row(f"{_SUBMISSIONS} WHERE key = :key", key=key)
    if row is not None and error.code in _OF_THE_OFFER:
        _record(transaction, row, _ending_of(error, Ending.REFUSED), error, time)


def _list_codes() -> frozenset[str]:
    """Return the codes of errors that say something of the offer, not of the request or of us."""
    found, classes = {ContentRejectedError.code}, [BackendError]
    while classes:
        each = classes.pop()
        found.add(each.code)
        classes += each.__subclasses__()
    return frozenset(found - {SubmitUncertainError.code})


_OF_THE_OFFER = _list_codes()
_SUBMISSIONS = """
SELECT key, number, submissions.backend, submissions.model, submissions.created_at, started_at,
    ended_at, quoted_usd, billed_usd, plans
FROM submissions JOIN jobs ON jobs.id = submissions.job_id"""


def _ending_of(error: ErrorInfo, other: Ending) -> Ending:
    return Ending.MODERATED if error.code == ContentRejectedError.code else other


def _record(
    transaction: Transaction, row: Row, ending: Ending, error: ErrorInfo | None, time: datetime
) -> None:
    plan = _plan_of(row)
    if plan.segments:  # each of them has an outcome of its own
        return
    outcome = _build_outcome(row, plan, ending, error, time)
    transaction.insert("outcomes", asdict(outcome))
    ended = "UPDATE submissions SET ended_at = :time WHERE key = :key"
    transaction.change(ended, key=row["key"], time=text_of(time))


@reads_row
def _plan_of(row: Row) -> Plan:
    return plan_of(json.loads(row["plans"])[row["number"]])


@reads_row
def _build_outcome(
    row: Row, plan: Plan, ending: Ending, error: ErrorInfo | None, time: datetime
) -> Outcome:
    began, request = datetime.fromisoformat(row["created_at"]), plan.request
    started = None if row["started_at"] is None else datetime.fromisoformat(row["started_at"])
    is_again = row["ended_at"] is not None  # it lay still meanwhile, nobody knows how long
    return Outcome(
        backend=row["backend"],
        model=row["model"],
        ending=ending,
        began_at=began.timestamp(),
        ended_at=time.timestamp(),
        code=None if error is None else error.code,
        queue_seconds=None if started is None else _seconds_between(began, started),
        seconds=None if is_again else _seconds_between(began, time),
        expected_seconds=plan.estimate.seconds,
        video_seconds=request.seconds(),
        short_side=find_short_side(request),
        quoted_usd=row["quoted_usd"],
        billed_usd=row["billed_usd"],
        priced_on=None if plan.estimate.priced_on is None else str(plan.estimate.priced_on),
    )


def _seconds_between(first: datetime, last: datetime) -> float:
    return max(0.0, (last - first).total_seconds())  # a clock may have been set back


def _outcomes_of(rows: Iterable[Row]) -> Iterator[tuple[int, Outcome]]:
    for row in rows:
        try:
            yield _outcome_of(row)
        except DamagedRowError:
            _LOGGER.debug("outcome %s cannot be read", row["id"])


@reads_row
def _outcome_of(row: Row) -> tuple[int, Outcome]:
    values = {name: row[name] for name in Outcome.__dataclass_fields__}
    for name, value in values.items():
        is_number = name not in _TEXTS and value is not None
        if is_number and not 0 <= value < _END_OF_TIME:
            raise ValueError(f"{name} is {value}")
    return row["id"], Outcome(**{**values, "ending": Ending(values["ending"])})
