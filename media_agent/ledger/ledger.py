"""The ledger: jobs, what was submitted for them, what happened, and who works on them.

One file that several processes use at once, or a Postgres database for many machines. Nothing is
sent to a backend before the intent stands here; only the ledger numbers events and writes the state
of a job; and of a job that another process owns it refuses every change.
"""

from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from media_agent.errors import LedgerBusyError
from media_agent.ledger.commands import Commands
from media_agent.ledger.costs import Costs
from media_agent.ledger.events import Events
from media_agent.ledger.jobs import Jobs
from media_agent.ledger.outcomes import Outcomes
from media_agent.ledger.owner import Owner, has_lease, is_alive, steady_seconds
from media_agent.ledger.owners import Owners
from media_agent.ledger.serving.api_keys import ApiKeys
from media_agent.ledger.serving.deliveries import Deliveries
from media_agent.ledger.serving.uploads import Uploads
from media_agent.ledger.store.database import BUSY_SECONDS
from media_agent.ledger.store.open import open_database
from media_agent.ledger.submissions import Submissions


class Ledger:
    """The parts of the ledger over one database; each object is one owner of jobs."""

    def __init__(
        self,
        path: Path,
        *,
        url: SecretStr | None = None,
        owner: Owner | None = None,
        is_owner_alive: Callable[[Owner, float], bool] | None = None,
        clock: Callable[[], float] | None = None,
        steady_clock: Callable[[], float] = steady_seconds,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        """Open the file, or the Postgres database of `url`; files lie in the folder of the path.

        Without a clock, that of the database tells how old a heartbeat is.
        """
        self.database = open_database(path, url, busy_seconds=busy_seconds)
        lives = is_alive if url is None else has_lease
        self.owners = Owners(
            self.database,
            Owner.current() if owner is None else owner,
            is_owner_alive=lives if is_owner_alive is None else is_owner_alive,
            clock=clock,
            steady_clock=steady_clock,
        )
        self.jobs = Jobs(self.database, self.owners)
        self.events = Events(self.database, self.owners)
        self.submissions = Submissions(self.database, self.owners)
        self.commands = Commands(self.database, self.owners)
        self.costs = Costs(self.database)
        self.outcomes = Outcomes(self.database)
        self.uploads = Uploads(self.database)
        self.api_keys = ApiKeys(self.database)
        self.deliveries = Deliveries(self.database)

    async def flushed(self, *, job_id: str | None = None, key: str | None = None) -> None:
        """Return when all that was written before this call is on disk.

        What is named has to be there then: a server that crashed before this call may have lost
        it, though another one answers by now.

        Raises:
            LedgerBusyError: the job, or the submission of the key, was lost.
            StorageError: nobody knows whether it is.
        """
        await self.database.flushed()
        for value, query in (
            (job_id, "SELECT 1 FROM jobs WHERE id = :value"),
            (key, "SELECT 1 FROM submissions WHERE key = :value"),
        ):
            if value is not None and not self._finds(query, value):
                raise LedgerBusyError(
                    f"{self.database.name} broke down, and lost what was not on its disk yet",
                    hint="try again; nothing was sent",
                )

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self.database.close()

    def _finds(self, query: str, value: str) -> bool:
        with self.database.reading() as transaction:
            return transaction.row(query, value=value) is not None
