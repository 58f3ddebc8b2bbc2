"""The families of weights that the backend offers: its own, and the folders that were named."""

from collections.abc import Mapping, Sequence

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import StorageError
from media_agent_magi.generating.family import Family, WeightsError
from media_agent_magi.magi.config import RELEASED
from media_agent_magi.magi.family import MagiFamily, damage_error
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.tiny.family import TinyFamily

REPOSITORY = "sand-ai/MAGI-1"
"""Where the released weights are, on the Hugging Face Hub."""

SHORT_NAMES = {"4.5b": "4.5B_distill", "24b": "24B_distill"}
"""Names of released weights that are easier to say."""


class Families:
    """What is usable, by model name, the usual one first, and what is wrong with the rest."""

    def __init__(self, settings: BackendSettings, families: Sequence[Family] | None = None) -> None:
        """Read the folders that the settings name.

        Raises:
            StorageError: Weights that ship with the package are missing or damaged.
        """
        own: Sequence[Family] = [TinyFamily()] if families is None else families
        self._usable = {family.model: family for family in own}
        self._faults: dict[str, StorageError] = {}
        kept = settings.data_dir / "magi"
        for model, path in settings.models.items():
            try:
                folder = MagiFolder.find(path)
                folder.check()
                self._usable[model] = MagiFamily(model, folder.config, folder, kept=kept)
            except WeightsError as error:  # the other models work
                self._faults[model] = damage_error(error)

    @property
    def usable(self) -> Mapping[str, Family]:
        """Those that can make videos now."""
        return self._usable

    def find(self, model: str) -> Family | None:
        """Return a family, also one of released weights that are not here; None: unknown.

        Raises:
            StorageError: Its folder is incomplete or damaged.
        """
        if model in self._faults:
            raise self._faults[model]
        if model in self._usable:
            return self._usable[model]
        released = {name.lower().replace("_", "-"): name for name in RELEASED} | SHORT_NAMES
        name = released.get(model)
        if name is None:
            return None
        how = f"weights: media-agent models fetch {REPOSITORY} --variant {name} --name {model}"
        return MagiFamily(model, RELEASED[name], missing=how)
