"""Who works on which job: claimed by compare-and-set, shown by a heartbeat, checked on writing.

The name of an owner is its own for ever, so it is the fence as well: whoever lost a job has no name
under which the row could be changed. Heartbeats are compared with the clock of the database, which
all share; how long our own last one is ago, with a clock that nobody sets.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from media_agent.errors import JobError, JobNotFoundError, MediaAgentError
from media_agent.ledger.owner import SAFE_SECONDS, STALE_SECONDS, Heartbeat, Owner, steady_seconds
from media_agent.ledger.rows import change_job
from media_agent.ledger.state import OwnershipLostError
from media_agent.ledger.store.database import Database, Row, Transaction, reads_row
from media_agent.ledger.store.tables import UNSETTLED
from media_agent_schemas.jobs import JobStatus

_LOGGER = logging.getLogger(__name__)
_SOON = 10.0  # seconds in which a new job is claimed by whoever made it
_NEVER = float("-inf")

SELECT_JOBS = """
SELECT *, (SELECT ref FROM submissions WHERE job_id = jobs.id AND state = 'accepted') AS ref,
    (SELECT seen FROM owners WHERE name = jobs.owner) AS seen
FROM jobs WHERE removed_at IS NULL"""
_LEFT = f"""
SELECT id, owner, seen FROM jobs LEFT JOIN owners ON owners.name = jobs.owner
WHERE {UNSETTLED} AND status != 'outcome_unknown' AND caller IS NOT NULL AND part_of IS NULL
ORDER BY created_at, id"""
_UNWORKED = """
SELECT id, owner, seen FROM jobs LEFT JOIN owners ON owners.name = jobs.owner
WHERE status IN ('queued', 'in_progress') AND removed_at IS NULL AND part_of IS NULL
ORDER BY created_at, id"""
_CANCELLED = """
SELECT id FROM jobs
WHERE owner = :owner AND cancel_requested AND status IN ('queued', 'in_progress')"""
_QUIET = """
SELECT id, (SELECT max(id) FROM commands WHERE job_id = jobs.id) AS command FROM jobs
WHERE owner = :owner AND NOT cancel_requested"""
_RENEW = """
INSERT INTO owners (name, seen) VALUES (:name, :seen)
ON CONFLICT (name) DO UPDATE SET seen = excluded.seen"""
_SEEN = "SELECT seen FROM owners WHERE name = :name"
_FORGET = """
DELETE FROM owners
WHERE seen < :before AND NOT EXISTS (SELECT 1 FROM jobs WHERE owner = owners.name)"""


class Owners:
    """The part of the ledger that knows who works on a job; each object stands for one owner."""

    def __init__(
        self,
        database: Database,
        owner: Owner,
        *,
        is_owner_alive: Callable[[Owner, float], bool],
        clock: Callable[[], float] | None = None,
        steady_clock: Callable[[], float] = steady_seconds,
    ) -> None:
        """Begin; without a clock that of the database counts."""
        self._database = database
        self._owner = owner
        self._own = str(owner)
        self._is_owner_alive = is_owner_alive
        self._clock = clock
        self._steady_clock = steady_clock
        self._renewed = _NEVER  # by the steady clock
        self._claimed: set[str] = set()
        self._made: dict[str, float] = {}  # jobs that nobody has claimed, by the steady clock
        self._let_go: set[str] = set()
        """Jobs that are ours in the file only: it could not be written when they were let go of."""
        self._heartbeat = Heartbeat(self._beat)

    @contextlib.contextmanager
    def claim(self, job_id: str, *, force: bool = False) -> Iterator[bool]:
        """Own the work on a job while the context lasts, or until this process dies.

        With `force` the job is taken from an owner that seems to live; yields whether it was.

        Raises:
            JobError: a living owner has it.
        """
        is_taken = self._become_owner(job_id, force=force)
        try:
            with self._heartbeat.needed():
                yield is_taken
        finally:
            self._claimed.discard(job_id)
            self._release(job_id)

    @property
    def name(self) -> str:
        """The name under which jobs are owned here."""
        return self._own

    @contextlib.contextmanager
    def showing_life(self) -> Iterator[None]:
        """Show that this owner lives while the context lasts, also where it owns no job."""
        with self._heartbeat.needed():
            self._beat()
            yield

    @contextlib.contextmanager
    def tending(self) -> Iterator[bool]:
        """Look after the jobs of others; yields whether nobody else does so meanwhile."""
        with self._database.only_one("tending") as is_ours:
            yield is_ours

    def find_gone(self, names: Iterable[str]) -> set[str]:
        """Return those of these owners that live no more."""
        with self._database.reading() as transaction:
            now = self._now(transaction)
            found = {name: transaction.row(_SEEN, name=name) for name in names}
        return {name for name, row in found.items() if not self._is_name_alive(name, row, now)}

    def list_unworked(self) -> tuple[str, ...]:
        """Return the jobs under way that no living process works on, oldest first; no segments."""
        with self._database.reading() as transaction:
            rows, now = transaction.rows(_UNWORKED), self._now(transaction)
            return tuple(row["id"] for row in rows if self._living_owner(row, now) is None)

    def list_cancelled(self) -> tuple[str, ...]:
        """Return those of our jobs that are to stop."""
        with self._database.reading() as transaction:
            rows = transaction.rows(_CANCELLED, owner=self._own)
        return tuple(row["id"] for row in rows)

    def is_claimed(self, job_id: str) -> bool:
        """Return whether a living process works on the job."""
        with self._database.reading() as transaction:
            row = self.row(transaction, job_id)
            return self._living_owner(row, self._now(transaction)) is not None

    def list_left(self) -> tuple[str, ...]:
        """Return the jobs of callers, under way, that no living process works on; oldest first."""
        with self._database.reading() as transaction:
            rows, now = transaction.rows(_LEFT), self._now(transaction)
            return tuple(row["id"] for row in rows if self._is_left(row, now))

    def request_cancel(self, job_id: str) -> bool:
        """Ask whoever works on the job, now or next, to stop it; return whether anybody does now.

        It is asked until the job has ended, whichever processes end before that.
        """
        with self._database.writing() as transaction:
            row = self.row(transaction, job_id)
            living = self._living_owner(row, self._now(transaction))
            change_job(transaction, job_id, cancel_requested=True)
        return living is not None

    def check(self, job_id: str) -> None:
        """Make sure that no other process has taken a job of ours.

        Raises:
            OwnershipLostError: one has.
        """
        with self._database.reading() as transaction:
            self.own_row(transaction, job_id)

    def is_safe(self) -> bool:
        """Return whether nobody may take a job of ours for a while: it was shown that we live."""
        return self._steady_clock() - self._renewed < SAFE_SECONDS

    def hold(self, job_id: str) -> None:
        """Show that we live, where that is long ago, before anything is done that costs.

        Raises:
            OwnershipLostError: another process took the job meanwhile.
            StorageError: it cannot be shown, so that nothing may be done.
        """
        if not self.is_safe():
            with self._renewing() as transaction:
                self.own_row(transaction, job_id)

    def is_cancel_requested(self, job_id: str) -> bool:
        """Return whether a job of ours is to stop.

        Raises:
            OwnershipLostError: another process owns the job.
        """
        with self._database.reading() as transaction:
            return bool(self.own_row(transaction, job_id)["cancel_requested"])

    def find_asked(self, commands_seen: Mapping[str, int]) -> set[str]:
        """Return those of our jobs of which another process asks something, or which it took.

        `commands_seen` has the number of the last command that each of them took.
        """
        with self._database.reading() as transaction:
            rows = transaction.rows(_QUIET, owner=self._own)
        last = {row["id"]: row["command"] or 0 for row in rows}
        return {name for name, seen in commands_seen.items() if last.get(name, seen + 1) > seen}

    def own_new(self, transaction: Transaction, job_id: str) -> str:
        """Return the owner of a job that is made here."""
        self._renew(transaction)
        now = self._steady_clock()
        while now - self._made.get(oldest := next(iter(self._made), ""), now) > _SOON:
            self._made.pop(oldest, None)
        self._made[job_id] = now
        return self._own

    def row(self, transaction: Transaction, job_id: str) -> Row:
        """Return the row of a job.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        row = transaction.row(f"{SELECT_JOBS} AND id = :id", id=job_id)
        if row is None:
            raise JobNotFoundError(
                f"unknown job {job_id!r}",
                hint="media-agent jobs list shows the jobs there are",
            )
        return row

    def own_row(self, transaction: Transaction, job_id: str) -> Row:
        """Return the row of a job that may be changed here.

        Raises:
            JobNotFoundError: there is none of this id.
            OwnershipLostError: another process owns the job.
        """
        row = self.row(transaction, job_id)
        if row["owner"] is None and job_id not in self._claimed:
            return row
        if row["owner"] != self._own:
            who = "another process" if row["owner"] is None else _owner_of(row)[0].place
            raise OwnershipLostError(f"{who} took job {job_id} over")
        return row

    def _become_owner(self, job_id: str, *, force: bool) -> bool:
        """Become the owner, and return whether a living one lost the job by it."""
        # what a crash of the machine would undo ended with this process anyway
        with self._renewing() as transaction:
            row, now = self.row(transaction, job_id), self._now(transaction)
            living = self._living_owner(row, now)
            if job_id in self._claimed or (living not in (None, self._owner) and not force):
                who = (living or self._owner).place
                raise JobError(f"{who} works on job {job_id}", hint="wait for it, or cancel it")
            has_ended = JobStatus(row["status"]).is_terminal  # whoever resumes it wants it again
            asked = bool(row["cancel_requested"]) and not has_ended
            if self._renewed == _NEVER:
                transaction.change(_FORGET, before=now - STALE_SECONDS)
            change_job(transaction, job_id, owner=self._own, cancel_requested=asked)
        self._claimed.add(job_id)
        self._let_go.discard(job_id)
        self._made.pop(job_id, None)
        return living not in (None, self._owner)

    def _beat(self) -> None:
        try:
            with self._renewing():
                pass
        except Exception as error:  # noqa: BLE001  # without a next beat, all jobs would be lost
            _LOGGER.debug("no heartbeat: %s", error)

    @contextlib.contextmanager
    def _renewing(self) -> Iterator[Transaction]:
        """Give a transaction that shows that we live; once it is kept, it counts from its begin."""
        began = self._steady_clock()
        with self._database.writing(durably=False) as transaction:
            self._renew(transaction)
            yield transaction
        self._renewed = max(self._renewed, began)

    def _renew(self, transaction: Transaction) -> None:
        transaction.change(_RENEW, name=self._own, seen=self._now(transaction))

    def _release(self, job_id: str) -> None:
        free = "UPDATE jobs SET owner = NULL WHERE id = :id AND owner = :owner"
        try:
            with self._database.writing(durably=False) as transaction:
                transaction.change(free, id=job_id, owner=self._own)
        except MediaAgentError as error:  # locked, or the disk is full: it is over all the same
            _LOGGER.debug("job %s is let go of, which cannot be written: %s", job_id, error)
            self._let_go.add(job_id)

    def _is_left(self, row: Row, now: float) -> bool:
        """Return whether nobody works on a job, we neither: not even its claim could be written."""
        owner, job_id = self._living_owner(row, now), row["id"]
        is_ours = owner == self._owner and job_id not in self._claimed
        made = self._made.get(job_id, _NEVER)
        return owner is None or (is_ours and self._steady_clock() - made > _SOON)

    def _is_name_alive(self, name: str, row: Row | None, now: float) -> bool:
        if name == self._own:
            return True
        try:
            owner = Owner.parse(name)
        except (ValueError, TypeError):
            return False
        return row is not None and self._is_owner_alive(owner, now - float(row["seen"]))

    def _living_owner(self, row: Row, now: float) -> Owner | None:
        if row["owner"] is None:
            return None
        owner, seen = _owner_of(row)
        if owner == self._owner:
            return None if row["id"] in self._let_go else owner
        return owner if self._is_owner_alive(owner, now - seen) else None

    def _now(self, transaction: Transaction) -> float:
        return transaction.now() if self._clock is None else self._clock()


@reads_row
def _owner_of(row: Row) -> tuple[Owner, float]:
    """Return who owns the job of a row, and when they were last heard of."""
    return Owner.parse(row["owner"]), _NEVER if row["seen"] is None else float(row["seen"])
