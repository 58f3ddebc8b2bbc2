"""Reads a folder of weights without torch: which family it is, and whether it is whole."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent_diffusers.families.catalogue import families_by_pipeline
from media_agent_diffusers.families.family import Family, Variant
from media_agent_diffusers.files import ModelFiles, unusable

_LIBRARIES = ("diffusers", "transformers")  # others would be code that came with the weights
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True)
class ModelFolder(ModelFiles):
    """A folder that is whole; everything heavy is still on disk."""

    variant: Variant


def read_folder(path: Path) -> ModelFolder:
    """Read the folder and check that nothing is missing.

    Raises:
        StorageError: it is no folder of a known family, or files are missing or damaged.
    """
    try:
        index = _read_index(path)
        family = _family(path, index)
        components = list(_components(path, index))
        configs = {name: config for name, config in components if config is not None}
        missing = [name for name in family.components if name not in configs]
        if missing:
            raise unusable(path, f"{', '.join(missing)} missing or without config.json")
        for name in configs:
            _check_component(path / name)
    except OSError as error:
        raise unusable(path, f"{error.filename}: {error.strerror}") from error
    variant = family.variant(ModelFiles(path, index, configs))
    return ModelFolder(path, index, configs, variant)


def _read_index(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise unusable(path, "there is no such folder", "name the folder that has model_index.json")
    if not (path / "model_index.json").is_file():
        raise unusable(
            path,
            "it has no model_index.json",
            "name a folder in the layout of diffusers; other checkpoints must be converted first",
        )
    return _read_json(path, "model_index.json")


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        data = json.loads((path / name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise unusable(path, f"{name} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise unusable(path, f"{name} is no JSON object")
    return data


def _family(path: Path, index: Mapping[str, Any]) -> Family:
    name, known = index.get("_class_name"), families_by_pipeline()
    if not isinstance(name, str) or name not in known:
        reason = f"its pipeline {name!r} is not known"
        raise unusable(path, reason, f"known: {', '.join(sorted(known))}")
    return known[name]


def _components(
    path: Path, index: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield the name and the config of each component; those without weights have none."""
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or value[:1] == [None]:
            continue
        if value[:1] not in [[library] for library in _LIBRARIES]:
            raise unusable(
                path,
                f"{name} is of {value[:1]}, not of {' or '.join(_LIBRARIES)}",
                "code that comes with weights is not run",
            )
        folder = path / name
        if not folder.is_dir() or not any(folder.iterdir()):
            raise unusable(path, f"{name} is missing or empty")
        has_config = (folder / "config.json").is_file()
        yield name, _read_json(path, f"{name}/config.json") if has_config else None


def _check_component(folder: Path) -> None:
    """Check that a component has all its weights, from their headers alone."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = [file.name for file in folder.iterdir() if file.suffix in _PICKLES]
        if pickled:
            raise unusable(
                folder.parent,
                f"{folder.name} has its weights in {pickled[0]} only, which can run code",
                "use a version with safetensors files",
            )
        raise unusable(folder.parent, f"{folder.name} has no weights (*.safetensors)")
    for index in folder.glob("*.safetensors.index.json"):
        parts = _read_json(folder.parent, f"{folder.name}/{index.name}").get("weight_map", {})
        missing = sorted(set(parts.values()) - {file.name for file in files})
        if missing:
            raise unusable(folder.parent, f"{folder.name}/{missing[0]} is missing")
    for file in files:
        reason = _fault(file)
        if reason is not None:
            raise unusable(folder.parent, f"{folder.name}/{file.name} {reason}")


def _fault(file: Path) -> str | None:
    """Return what is wrong with a file of weights, None if its length fits its header."""
    size = file.stat().st_size
    with file.open("rb") as reader:
        start = reader.read(8)
        if start == b"version ":
            return "is only a pointer of Git LFS; run: git lfs pull"
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            return "is cut off or no safetensors file"
        try:
            header = json.loads(reader.read(length))
            ends = [part["data_offsets"][1] for key, part in header.items() if key[:2] != "__"]
            wanted = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return "has a damaged header"
    return None if size == wanted else f"has {size} of {wanted} bytes"
