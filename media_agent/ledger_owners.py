"""Who works on which job: claimed by compare-and-set, shown by a heartbeat, checked on writing."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, delete, insert, select, update

from media_agent.errors import JobError, JobNotFoundError, MediaAgentError
from media_agent.jobs import JobMovedError
from media_agent.ledger_file import BUSY_SECONDS, LedgerFile
from media_agent.ledger_tables import commands, jobs
from media_agent.owner import Owner, beating, is_alive
from media_agent_schemas.jobs import Command, JobStatus

_LOGGER = logging.getLogger(__name__)
JobRow = Row[tuple[object, ...]]
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


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
    def hold(
        self,
        job_id: str,
        *,
        force: bool = False,
        on_cancel: Callable[[], None] | None = None,
    ) -> Iterator[None]:
        """Own the work on a job while the context lasts, or until this process dies.

        `on_cancel` is called, from another thread, when another process asks to stop. With `force`
        the job is taken from an owner that seems to live.

        Raises:
            JobError: a living owner has it.
        """
        self._claim(job_id, force=force)
        try:
            with beating(lambda: self._beat(job_id, on_cancel)):
                yield
        finally:
            self._held.discard(job_id)
            self._release(job_id)

    def is_held(self, job_id: str) -> bool:
        """Return whether a living process works on the job."""
        with self._file.reading() as connection:
            return self._living_owner(self._row(connection, job_id)) is not None

    def request_cancel(self, job_id: str) -> None:
        """Ask the process that works on the job to stop it."""
        with self._file.writing() as connection:
            self._row(connection, job_id)
            chosen = jobs.c.id == job_id
            connection.execute(update(jobs).where(chosen).values(cancel_requested=True))

    def add_command(self, job_id: str, command: Command) -> None:
        """Leave a command for whoever works on the job, now or later.

        Raises:
            JobNotFoundError: there is no such job.
            JobError: it has ended.
        """
        with self._file.writing() as connection:
            status = JobStatus(self._row(connection, job_id).status)
            if status.is_terminal:
                raise JobError(f"job {job_id} takes no {command.type}: it is {status}")
            values = {"job_id": job_id, "command": command.model_dump_json()}
            connection.execute(insert(commands).values(**values))

    def take_commands(self, job_id: str) -> tuple[Command, ...]:
        """Return the commands left for a job of ours since the last time, oldest first.

        Raises:
            JobMovedError: another process owns the job.
        """
        left = commands.c.job_id == job_id
        with self._file.reading() as connection:
            if connection.execute(select(commands.c.id).where(left)).first() is None:
                return ()
        with self._file.writing() as connection:
            self._own_row(connection, job_id)
            query = select(commands.c.command).where(left).order_by(commands.c.id)
            texts = connection.execute(query).scalars().all()
            connection.execute(delete(commands).where(left))
        return tuple(_COMMAND.validate_json(text) for text in texts)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def _claim(self, job_id: str, *, force: bool) -> None:
        with self._file.writing() as connection:
            row = self._row(connection, job_id)
            living = self._living_owner(row)
            if job_id in self._held or (living not in (None, self._owner) and not force):
                who = (living or self._owner).place
                raise JobError(f"{who} works on job {job_id}", hint="wait for it, or cancel it")
            seen = jobs.c.id == job_id, jobs.c.owner.is_not_distinct_from(row.owner)
            values = {"owner": str(self._owner), "heartbeat": self._clock()}
            if row.owner != str(self._owner):
                values["cancel_requested"] = False  # was asked of the owner before
            connection.execute(update(jobs).where(*seen).values(**values))
        self._held.add(job_id)

    def _beat(self, job_id: str, on_cancel: Callable[[], None] | None) -> None:
        mine = jobs.c.id == job_id, jobs.c.owner == str(self._owner)
        beat = update(jobs).where(*mine).values(heartbeat=self._clock())
        try:
            with self._file.writing(durably=False) as connection:
                asked = connection.execute(beat.returning(jobs.c.cancel_requested)).scalar()
        except MediaAgentError as error:
            _LOGGER.debug("no heartbeat for %s: %s", job_id, error)
            return
        if asked and on_cancel is not None:
            on_cancel()

    def _release(self, job_id: str) -> None:
        mine = jobs.c.id == job_id, jobs.c.owner == str(self._owner)
        free = {"owner": None, "heartbeat": None, "cancel_requested": False}
        with self._file.writing() as connection:
            connection.execute(update(jobs).where(*mine).values(**free))

    def _living_owner(self, row: JobRow) -> Owner | None:
        if row.owner is None:
            return None
        owner = Owner.parse(row.owner)
        silent = self._clock() - (row.heartbeat or 0.0)
        return owner if owner == self._owner or self._is_owner_alive(owner, silent) else None

    def _row(self, connection: Connection, job_id: str) -> JobRow:
        row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
        if row is None:
            raise JobNotFoundError(
                f"there is no job {job_id!r} in {self._file.path}",
                hint="media-agent jobs list shows the jobs there are",
            )
        return row

    def _own_row(self, connection: Connection, job_id: str) -> JobRow:
        row = self._row(connection, job_id)
        if row.owner not in (None, str(self._owner)):
            raise JobMovedError(f"{Owner.parse(row.owner).place} works on job {job_id} now")
        return row
