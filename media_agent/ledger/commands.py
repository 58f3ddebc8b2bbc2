"""The commands for running jobs: any process adds them, the owner of the job reads them."""

from pydantic import TypeAdapter

from media_agent.errors import JobError
from media_agent.ledger.owners import Owners
from media_agent.ledger.rows import insert
from media_agent.ledger.store.database import Database, Row, reads_row
from media_agent_schemas.jobs import Command, JobStatus

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class Commands:
    """The part of the ledger that knows commands."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def add(self, job_id: str, command: Command) -> None:
        """Keep a command for whoever works on the job, now or later.

        Raises:
            JobNotFoundError: there is no such job.
            JobError: it has ended.
        """
        with self._database.writing() as transaction:
            status = JobStatus(self._owners.row(transaction, job_id)["status"])
            if status.is_terminal:
                raise JobError(f"job {job_id} takes no {command.type}: it is {status}")
            insert(transaction, "commands", job_id=job_id, command=command)

    def read(self, job_id: str, after: int = 0) -> list[tuple[int, Command]]:
        """Return the commands for a job of ours numbered above `after`, oldest first.

        They stay here as long as the job does: whoever resumes it needs all of them again.

        Raises:
            OwnershipLostError: another process owns the job.
        """
        query = "SELECT id, command FROM commands WHERE job_id = :job AND id > :after ORDER BY id"
        with self._database.reading() as transaction:
            rows = transaction.rows(query, job=job_id, after=after)
            if rows:
                self._owners.own_row(transaction, job_id)
            return [*map(_command_of, rows)]


@reads_row
def _command_of(row: Row) -> tuple[int, Command]:
    return row["id"], _COMMAND.validate_json(row["command"])
