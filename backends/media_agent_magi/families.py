"""The families of weights that the backend offers; the first is the usual one."""

from collections.abc import Sequence

from media_agent.backend.protocol import BackendSettings
from media_agent_magi.generating.family import Family
from media_agent_magi.tiny.family import TinyFamily


def all_families(settings: BackendSettings) -> Sequence[Family]:
    """Return the families that the settings allow for.

    Raises:
        StorageError: Weights that ship with the package are missing or damaged.
    """
    return [TinyFamily()]
