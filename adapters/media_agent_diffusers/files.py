"""What the small files of a model folder say; no weights are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent.errors import StorageError


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The JSON files of a folder of weights, parsed."""

    path: Path
    index: Mapping[str, Any]  # model_index.json
    configs: Mapping[str, Mapping[str, Any]]  # config.json of each component that has weights

    @property
    def pipeline(self) -> str:
        """Return the pipeline class that the folder was saved from."""
        return str(self.index["_class_name"])

    def weights(self) -> list[Path]:
        """Return the files of weights, in the order of their names within the folder."""
        found = self.path.glob("*/*.safetensors")
        return sorted(found, key=lambda path: path.relative_to(self.path).as_posix())

    def whole_number(self, component: str, key: str, default: int) -> int:
        """Return a positive number from the config of a component; the last of a list.

        Raises:
            StorageError: it is there, and is none.
        """
        value = self.configs[component].get(key, default)
        value = value[-1] if isinstance(value, list) and value else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise unusable(self.path, f"{component}/config.json says {key} = {value!r}")
        return value


def unusable(path: Path, reason: str, hint: str | None = None) -> StorageError:
    """Return the error that says why a folder of weights cannot be used."""
    return StorageError(
        f"the model folder {path} cannot be used: {reason}",
        hint=hint or "download it again, or complete it; media-agent models list checks it",
    )
