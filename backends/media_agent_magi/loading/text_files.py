"""The files of a text encoder of the T5 kind, as transformers saves one. No torch here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.damage import check_all
from media_agent_magi.loading.headers import find_unfinished, read_file
from media_agent_magi.loading.pickled import read_pickled
from media_agent_magi.loading.tokenizer import check_tokenizer

KINDS = ("t5", "umt5")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


@dataclass(frozen=True, slots=True)
class TextFiles:
    """A folder with config.json, a tokenizer, and weights as safetensors or `.bin`."""

    path: Path

    def check(self) -> dict[str, Any]:
        """Return its configuration.

        Raises:
            WeightsError: Something that it needs is missing, cut off or half downloaded.
        """
        config = self._read("config.json")
        if config.get("model_type") not in KINDS:
            kind = config.get("model_type")
            raise WeightsError(f"{self.path} holds a {kind!r}, and T5 or UMT5 is wanted")
        vocabulary = config.get("vocab_size")
        if not isinstance(vocabulary, int):
            raise WeightsError(f"{self.path / 'config.json'} says no vocab_size")
        check_all(lambda: check_tokenizer(self.path, vocabulary), self._check_weights)
        return config

    def _check_weights(self) -> None:
        faults = [fault for name in self.weight_names() if (fault := self._find_fault(name))]
        if faults:
            raise WeightsError(f"in {self.path} {'; '.join(faults)}")

    def facts(self) -> list[tuple[str, int]]:
        """Return names and sizes of its files, which tell it from another one."""
        names = [*self.weight_names(), "config.json"]
        return [(name, (self.path / name).stat().st_size) for name in names]

    def weight_names(self) -> list[str]:
        """Return the names of its weight files, whether they are there or not."""
        for index in INDEXES:
            if (self.path / index).is_file():
                shards = self._read(index).get("weight_map", {})
                return sorted(set(shards.values()))
        if (self.path / "pytorch_model.bin").is_file():
            return ["pytorch_model.bin"]
        return ["model.safetensors"]

    def _find_fault(self, name: str) -> str | None:
        file = self.path / name
        if not file.is_file():
            part = find_unfinished(self.path, name)
            return f"{name} is half downloaded: {part.name}" if part else f"{name} is missing"
        try:
            if file.suffix == ".safetensors":
                dict(read_file(file))
            else:
                read_pickled(file)
        except WeightsError as error:
            return str(error)
        except OSError:
            return f"{name} is cut off or damaged"
        return None

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            values = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise WeightsError(f"cannot read {path}: {error}") from error
        if not isinstance(values, dict):
            raise WeightsError(f"{path} holds no JSON object")
        return values
