"""Who works on which job: claimed by compare-and-set, shown by a heartbeat, checked on writing."""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from media_agent.errors import JobError, JobNotFoundError, MediaAgentError
from media_agent.ledger.database import BUSY_SECONDS, LedgerFile
from media_agent.ledger.owner import Owner, beating, is_alive
from media_agent.ledger.rows import change_job, insert
from media_agent.ledger.state import JobMovedError
from media_agent_schemas.jobs import Command, JobStatus

_LOGGER = logging.getLogger(__name__)
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)

SELECT_JOBS = """
SELECT *, (SELECT ref FROM submissions WHERE job_id = jobs.id AND state = 'accepted') AS ref
FROM jobs"""


class OwnedJobs:
    """The part of the ledger that knows owners; each object is one."""

    def __init__(
        self,
        path: Path,
        *,
        owner: Owner | None = None,
        is_owner_alive: Callable[[Owner, float], bool] = is_alive,
        clock: Callable[[], float] = time.time,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._file = LedgerFile(path, busy_seconds=busy_seconds)
        self._owner = Owner.current() if owner is None else owner
        self._is_owner_alive = is_owner_alive
        self._clock = clock
        self._held: set[str] = set()

    @contextlib.contextmanager
    def hold(self, job_id: str, *, force: bool = False) -> Iterator[bool]:
        """Own the work on a job while the context lasts, or until this process dies.

        With `force` the job is taken from an owner that seems to live; yields whether it was.

        Raises:
            JobError: a living owner has it.
        """
        is_taken = self._claim(job_id, force=force)
        try:
            with beating(lambda: self._beat(job_id)):
                yield is_taken
        finally:
            self._held.discard(job_id)
            self._release(job_id)

    def is_held(self, job_id: str) -> bool:
        """Return whether a living process works on the job."""
        with self._file.reading() as connection:
            return self._living_owner(self._row(connection, job_id)) is not None

    def request_cancel(self, job_id: str) -> bool:
        """Ask the process that works on the job to stop it; return whether there is one."""
        with self._file.writing() as connection:
            if self._living_owner(self._row(connection, job_id)) is None:
                return False
            connection.execute("UPDATE jobs SET cancel_requested = TRUE WHERE id = ?", (job_id,))
        return True

    def check_owner(self, job_id: str) -> None:
        """Make sure that no other process has taken a job of ours.

        Raises:
            JobMovedError: one has.
        """
        with self._file.reading() as connection:
            self._own_row(connection, job_id)

    def is_cancel_requested(self, job_id: str) -> bool:
        """Return whether a job of ours is to stop.

        Raises:
            JobMovedError: another process owns the job.
        """
        with self._file.reading() as connection:
            return bool(self._own_row(connection, job_id)["cancel_requested"])

    def add_command(self, job_id: str, command: Command) -> None:
        """Leave a command for whoever works on the job, now or later.

        Raises:
            JobNotFoundError: there is no such job.
            JobError: it has ended.
        """
        with self._file.writing() as connection:
            status = JobStatus(self._row(connection, job_id)["status"])
            if status.is_terminal:
                raise JobError(f"job {job_id} takes no {command.type}: it is {status}")
            insert(connection, "commands", job_id=job_id, command=command)

    def take_commands(self, job_id: str) -> Iterator[Command]:
        """Yield the commands left for a job of ours, oldest first.

        Each is kept until the next is asked for: one that a kill kept from being done comes again.

        Raises:
            JobMovedError: another process owns the job.
        """
        oldest = "SELECT id, command FROM commands WHERE job_id = ? ORDER BY id LIMIT 1"
        while True:
            with self._file.reading() as connection:
                left = connection.execute(oldest, (job_id,)).fetchone()
                if left is None:
                    return
                self._own_row(connection, job_id)
            yield _COMMAND.validate_json(left["command"])
            with self._file.writing() as connection:
                self._own_row(connection, job_id)
                connection.execute("DELETE FROM commands WHERE id = ?", (left["id"],))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def _claim(self, job_id: str, *, force: bool) -> bool:
        """Become the owner, and return whether a living one lost the job by it."""
        with self._file.writing() as connection:
            row = self._row(connection, job_id)
            living = self._living_owner(row)
            if job_id in self._held or (living not in (None, self._owner) and not force):
                who = (living or self._owner).place
                raise JobError(f"{who} works on job {job_id}", hint="wait for it, or cancel it")
            asked = row["cancel_requested"] and row["owner"] == str(self._owner)  # not another
            values = {"heartbeat": self._clock(), "cancel_requested": asked}
            change_job(connection, job_id, owner=str(self._owner), **values)
        self._held.add(job_id)
        return living not in (None, self._owner)

    def _beat(self, job_id: str) -> None:
        beat = "UPDATE jobs SET heartbeat = ? WHERE id = ? AND owner = ?"
        try:
            with self._file.writing(durably=False) as connection:
                connection.execute(beat, (self._clock(), job_id, str(self._owner)))
        except MediaAgentError as error:
            _LOGGER.debug("no heartbeat for %s: %s", job_id, error)

    def _release(self, job_id: str) -> None:
        free = """
            UPDATE jobs SET owner = NULL, heartbeat = NULL, cancel_requested = FALSE
            WHERE id = ? AND owner = ?"""
        with self._file.writing() as connection:
            connection.execute(free, (job_id, str(self._owner)))

    def _living_owner(self, row: sqlite3.Row) -> Owner | None:
        if row["owner"] is None:
            return None
        owner = Owner.parse(row["owner"])
        silent = self._clock() - row["heartbeat"]
        return owner if owner == self._owner or self._is_owner_alive(owner, silent) else None

    def _row(self, connection: sqlite3.Connection, job_id: str) -> sqlite3.Row:
        row = connection.execute(f"{SELECT_JOBS} WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise JobNotFoundError(
                f"there is no job {job_id!r} in {self._file.path}",
                hint="media-agent jobs list shows the jobs there are",
            )
        return cast(sqlite3.Row, row)

    def _own_row(self, connection: sqlite3.Connection, job_id: str) -> sqlite3.Row:
        row = self._row(connection, job_id)
        if row["owner"] is None and job_id not in self._held:
            return row
        if row["owner"] != str(self._owner):
            who = "another process" if row["owner"] is None else Owner.parse(row["owner"]).place
            raise JobMovedError(f"{who} took job {job_id} over")
        return row
