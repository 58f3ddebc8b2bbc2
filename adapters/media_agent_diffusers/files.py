"""What the small files of a model folder say; no weights are read."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent.errors import StorageError

DENOISERS = ("transformer", "transformer_2", "unet")
"""Components that take the noise away. They are the largest, and can be held in fewer bits."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The JSON files of a folder of weights, parsed."""

    path: Path
    index: Mapping[str, Any]  # model_index.json
    configs: Mapping[str, Mapping[str, Any]]  # config.json of each component that has weights
    scheduler: Mapping[str, Any]  # scheduler_config.json; empty where there is none

    @property
    def pipeline(self) -> str:
        """Return the pipeline class that the folder was saved from."""
        return str(self.index["_class_name"])

    @property
    def name(self) -> str:
        """Return the name that the model was given: its folder's, or its repository's.

        In the cache of the hub, folders are `models--OWNER--REPOSITORY/snapshots/HASH`.
        """
        repository = self.path.parent.parent.name
        if self.path.parent.name == "snapshots" and repository.startswith("models--"):
            return repository.split("--")[-1]
        return self.path.name

    @property
    def flow_shift(self) -> float | None:
        """Return the shift of the noise schedule, None if its scheduler has none."""
        key = shift_key(self.scheduler)
        value = None if key is None else self.scheduler[key]
        return float(value) if isinstance(value, int | float) and value > 0 else None

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


def shift_key(scheduler: Mapping[str, Any]) -> str | None:
    """Return the name under which a scheduler's configuration has its shift, None if it has none.

    Schedulers for flow matching alone call it "shift", others that can do it too "flow_shift".
    """
    return next((key for key in ("flow_shift", "shift") if key in scheduler), None)


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file of a folder of weights.

    Raises:
        StorageError: it is no JSON, or no object.
    """
    try:
        data = json.loads((path / name).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise unusable(path, f"{name} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise unusable(path, f"{name} is no JSON object")
    return data


def unusable(path: Path, reason: str, hint: str | None = None) -> StorageError:
    """Return the error that says why a folder of weights cannot be used."""
    return StorageError(
        f"the model folder {path} cannot be used: {reason}",
        hint=hint
        or "download it again, or complete it; to check it again: "
        f"media-agent models check {shlex.quote(str(path))}",
    )


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Turn what breaks on the files of a folder of weights into an error that names the folder."""
    try:
        yield
    except OSError as error:
        raise unusable(path, f"{error.filename or path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        said = " ".join(str(error).split())[:300]
        reason = f"its files say something impossible: {type(error).__name__}: {said}"
        raise unusable(path, reason) from error
