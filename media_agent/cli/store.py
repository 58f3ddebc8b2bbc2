"""The ledger, for commands that only look into it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media_agent.ledger.ledger import Ledger


def open_ledger() -> "Ledger":
    """Open the ledger of the data folder."""
    from media_agent.config.settings import load_settings
    from media_agent.ledger.ledger import Ledger

    settings = load_settings()
    return Ledger(settings.ledger_path, url=settings.ledger)


def find_job(name: str) -> str:
    """Return the id of the job that a command line names: an id, how one begins, or "last".

    Raises:
        JobNotFoundError: there is none.
        InvalidRequestError: several ids begin so.
    """
    return open_ledger().jobs.find(name)
