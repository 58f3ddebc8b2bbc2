"""The families of weights that each backend offers: its own, and the folders that were named."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import StorageError
from media_agent_magi.generating.family import Family, WeightsError
from media_agent_magi.loading.damage import damage_error
from media_agent_magi.magi.config import RELEASED
from media_agent_magi.magi.family import MagiFamily
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.tiny.family import TinyFamily
from media_agent_magi.wan_causal.family import WanCausalFamily
from media_agent_magi.wan_causal.folder import WanCausalFolder
from media_agent_magi.wan_causal.settings import PRESETS

REPOSITORY = "sand-ai/MAGI-1"
"""Where the released weights of MAGI-1 are, on the Hugging Face Hub."""

SHORT_NAMES = {"4.5b": "4.5B_distill", "24b": "24B_distill"}
"""Names of released weights that are easier to say."""

Open = Callable[[str, Path], Family]
"""Model name, folder -> its family; raises WeightsError."""


class Families:
    """What is usable, by model name, the usual one first, and what is wrong with the rest."""

    def __init__(
        self,
        own: Sequence[Family],
        folders: Mapping[str, Path],
        opens: Open,
        absent: Callable[[str], Family | None] = lambda model: None,
    ) -> None:
        """Take the families that need no folder, and open the folders.

        `absent` returns the family of released weights that are not here.
        """
        self._usable = {family.model: family for family in own}
        self._faults: dict[str, StorageError] = {}
        self._absent = absent
        for model, path in folders.items():
            try:
                self._usable[model] = opens(model, path)
            except WeightsError as error:  # the other models work
                self._faults[model] = damage_error(error)

    @property
    def usable(self) -> Mapping[str, Family]:
        """Those that can make videos now, and those that say themselves what they lack."""
        return self._usable

    def find(self, model: str) -> Family | None:
        """Return a family, also one of released weights that are not here; None: unknown.

        Raises:
            StorageError: Its folder is incomplete or damaged.
        """
        if model in self._faults:
            raise self._faults[model]
        return self._usable.get(model) or self._absent(model)


def magi_families(settings: BackendSettings, families: Sequence[Family] | None = None) -> Families:
    """Return those of the backend "magi": its own model, or those given, and folders of MAGI-1.

    Raises:
        StorageError: Weights that ship with the package are missing or damaged.
    """
    kept = settings.data_dir / "magi"

    def open_folder(model: str, path: Path) -> Family:
        folder = MagiFolder.find(path)
        folder.check()
        return MagiFamily(model, folder.config, folder, kept=kept)

    def find_absent(model: str) -> Family | None:
        released = {name.lower().replace("_", "-"): name for name in RELEASED} | SHORT_NAMES
        name = released.get(model)
        if name is None:
            return None
        how = f"weights: media-agent models fetch {REPOSITORY} --variant {name} --name {model}"
        return MagiFamily(model, RELEASED[name], missing=how)

    own: Sequence[Family] = [TinyFamily()] if families is None else families
    return Families(own, settings.models, open_folder, find_absent)


def wan_causal_families(
    settings: BackendSettings, families: Sequence[Family] | None = None
) -> Families:
    """Return those of the backend "wan-causal": the released models, and those in folders."""
    kept = settings.data_dir / "wan-causal"

    def open_folder(model: str, path: Path) -> Family:
        folder = WanCausalFolder.find(path)
        folder.check()
        return WanCausalFamily(model, folder.config, folder, kept=kept)

    released = [
        WanCausalFamily(
            name, config, missing=f"weights: media-agent models fetch wan-causal/{name}"
        )
        for name, config in PRESETS.items()
    ]
    return Families(released if families is None else families, settings.models, open_folder)
