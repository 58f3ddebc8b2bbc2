"""Reads a folder of weights without torch: which family it is, and whether it is whole."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from media_agent.backend.protocol import ForeignFolderError
from media_agent_diffusers.families.catalogue import families_by_pipeline
from media_agent_diffusers.families.family import Family, Variant
from media_agent_diffusers.files import ModelFiles, faults_named, read_json, unusable
from media_agent_diffusers.generic.family import NoVideoPipelineError, find_generic
from media_agent_diffusers.model_folder.gguf import choose_gguf
from media_agent_diffusers.model_folder.weights import (
    STEMS,
    Weights,
    choose_weights,
    find_weights,
    list_indexes,
)

_MODULAR = "modular_model_index.json"
_SMALL = (".json", ".txt", ".model", ".jinja", ".tiktoken")  # configurations and tokenizers


@dataclass(frozen=True, slots=True)
class ModelFolder(ModelFiles):
    """A folder that is whole; everything heavy is still on disk."""

    variant: Variant
    weights: Weights

    def name_weights(self) -> dict[str, Path]:
        """Return the files of weights by their name within the folder, in the order of the names.

        A GGUF file, which may lie elsewhere, is named as if it lay with its component.
        """
        inside = {file.relative_to(self.path).as_posix(): file for file in self.weights.files}
        gguf = {f"{name}/{each.path.name}": each.path for name, each in self.weights.gguf.items()}
        return dict(sorted({**inside, **gguf}.items()))


def read_folder(path: Path, gguf: Mapping[str, Path] | None = None) -> ModelFolder:
    """Read the folder and check that nothing is missing.

    `gguf` has the file that takes the place of the weights of a component.

    Raises:
        StorageError: it is no folder of a known family, or files are missing or damaged.
    """
    return _read(path, partial(find_weights, path), gguf or {})


def choose_files(path: Path, variant: str | None) -> tuple[str, ...]:
    """Return the files of a model that are loaded; in `path`, all but the small ones are empty.

    Raises:
        StorageError: it is no model that could be used, or it has no such variant.
    """
    folder = _read(path, partial(choose_weights, path, variant=variant), {})
    components = [name for name, value in folder.index.items() if isinstance(value, list)]
    small = [
        file
        for name in components
        for file in sorted((path / name).glob("*"))
        if file.suffix in _SMALL and ".index." not in file.name
    ]
    files = (*small, *list_indexes(path, folder.weights), *folder.weights.files)
    return ("model_index.json", *(file.relative_to(path).as_posix() for file in files))


def _read(
    path: Path, find: Callable[[Mapping[str, str]], Weights], gguf: Mapping[str, Path]
) -> ModelFolder:
    with faults_named(path):
        index = _read_index(path)
        family = _family(path, index)
        components = list(_components(path, index))
        configs = {name: config for name, config in components if config is not None}
        missing = [name for name in family.components if name not in configs]
        if missing:
            raise unusable(path, f"{', '.join(missing)} missing or without config.json")
        files = ModelFiles(path, index, configs, _read_scheduler(path))
        chosen = choose_gguf(files, gguf)
        libraries = {name: str(index[name][0]) for name in configs if name not in chosen}
        weights = replace(find(libraries), gguf=chosen)
        variant = family.variant(files)
    return ModelFolder(path, index, configs, files.scheduler, variant, weights)


def _read_index(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise unusable(path, "there is no such folder", "name the folder that has model_index.json")
    if (path / _MODULAR).is_file() and not (path / "model_index.json").is_file():
        name = read_json(path, _MODULAR).get("_class_name")
        raise unusable(
            path,
            f"{name} is a modular pipeline, which diffusers calls in another way",
            "serve it with SGLang-Diffusion or vLLM-Omni, and use that as openai-compatible",
        )
    if not (path / "model_index.json").is_file():
        error = unusable(
            path,
            "it has no model_index.json",
            "name a folder in the layout of diffusers; other checkpoints must be converted first",
        )
        raise ForeignFolderError(error.message, hint=error.hint)
    return read_json(path, "model_index.json")


def _family(path: Path, index: Mapping[str, Any]) -> Family:
    """Return the family of the pipeline; one that has none is used by its signature."""
    name, known = index.get("_class_name"), families_by_pipeline()
    if isinstance(name, str) and name in known:
        return known[name]
    hint = f"known: {', '.join(sorted(known))}"
    try:
        family = find_generic(name) if isinstance(name, str) else None
    except NoVideoPipelineError as error:
        raise unusable(path, str(error), hint) from error
    if family is None:
        raise unusable(path, f"its pipeline {name!r} is not known", hint)
    return family


def _components(
    path: Path, index: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield the name and the config of each component; those without weights have none."""
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or value[:1] == [None]:
            continue
        if value[:1] not in [[library] for library in STEMS]:
            raise unusable(
                path,
                f"{name} is of {value[:1]}, not of diffusers or transformers",
                "code that comes with weights is not run",
            )
        folder = path / name
        if not folder.is_dir() or not any(folder.iterdir()):
            raise unusable(path, f"{name} is missing or empty")
        has_config = (folder / "config.json").is_file()
        yield name, read_json(path, f"{name}/config.json") if has_config else None


def _read_scheduler(path: Path) -> dict[str, Any]:
    name = "scheduler/scheduler_config.json"
    return read_json(path, name) if (path / name).is_file() else {}
