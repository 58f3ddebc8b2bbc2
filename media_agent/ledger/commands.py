"""The commands left for running jobs: any process leaves them, the owner of the job takes them."""

from collections.abc import Iterator

from pydantic import TypeAdapter

from media_agent.errors import JobError
from media_agent.ledger.database import Database
from media_agent.ledger.owners import Owners
from media_agent.ledger.rows import insert
from media_agent_schemas.jobs import Command, JobStatus

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class Commands:
    """The part of the ledger that knows commands."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def add(self, job_id: str, command: Command) -> None:
        """Leave a command for whoever works on the job, now or later.

        Raises:
            JobNotFoundError: there is no such job.
            JobError: it has ended.
        """
        with self._database.writing() as transaction:
            status = JobStatus(self._owners.row(transaction, job_id)["status"])
            if status.is_terminal:
                raise JobError(f"job {job_id} takes no {command.type}: it is {status}")
            insert(transaction, "commands", job_id=job_id, command=command)

    def take(self, job_id: str) -> Iterator[Command]:
        """Yield the commands left for a job of ours, oldest first.

        Each is kept until the next is asked for: one that a kill kept from being done comes again.

        Raises:
            JobMovedError: another process owns the job.
        """
        oldest = "SELECT id, command FROM commands WHERE job_id = :job ORDER BY id LIMIT 1"
        while True:
            with self._database.reading() as transaction:
                left = transaction.row(oldest, job=job_id)
                if left is None:
                    return
                self._owners.own_row(transaction, job_id)
            yield _COMMAND.validate_json(left["command"])
            with self._database.writing() as transaction:
                self._owners.own_row(transaction, job_id)
                transaction.change("DELETE FROM commands WHERE id = :id", id=left["id"])
