"""How weights that cannot be used are told to the rest of the program. No torch here."""

from collections.abc import Callable

from media_agent.backend.protocol import ForeignFolderError
from media_agent.errors import StorageError
from media_agent_magi.generating.family import WeightsError


class NoModelError(WeightsError):
    """A folder in another layout."""


def check_all(*checks: Callable[[], object]) -> None:
    """Run all checks.

    Raises:
        WeightsError: What those say that fail.
    """
    faults = []
    for check in checks:
        try:
            check()
        except WeightsError as error:
            faults.append(str(error))
    if faults:
        raise WeightsError("; ".join(faults))


def damage_error(error: WeightsError) -> StorageError:
    """Say that the weights cannot be used, and what to do."""
    if isinstance(error, NoModelError):
        return ForeignFolderError(str(error), hint="name a folder that holds released weights")
    return StorageError(
        str(error), hint="fetch what is missing again: media-agent models fetch; then models check"
    )
