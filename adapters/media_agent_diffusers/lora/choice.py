"""Which LoRA weights a request asks for, checked before anything is loaded."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from media_agent.backend.options import check_options
from media_agent.errors import InvalidRequestError
from media_agent_diffusers.families.family import Options
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.model_folder.weights import PICKLES, find_fault
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.facts import OptionSpec

COMPONENTS = {"lora": "transformer", "lora_2": "transformer_2"}
"""By option, the component whose layers the weights are added to."""


@dataclass(frozen=True, slots=True)
class ChosenLora:
    """Weights for the layers of one component."""

    name: str
    file: Path
    component: str
    weight: float


def lora_options(folder: ModelFolder, names: Mapping[str, Path]) -> tuple[OptionSpec, ...]:
    """Return the options that choose among the LoRA files that the settings name for a model."""
    if not names:
        return ()
    missing = {name: f" (missing: {path})" for name, path in names.items() if not path.exists()}
    listed = ", ".join(f"{name}{missing.get(name, '')}" for name in sorted(names))
    return tuple(
        OptionSpec(
            name=option,
            type="string",
            description=f"LoRA weights for {component}, such as NAME, NAME:0.8 or NAME:0.8,OTHER; "
            f"names: {listed}.",
        )
        for option, component in COMPONENTS.items()
        if component in folder.configs
    )


def choose_loras(options: Options, files: Mapping[str, Path]) -> tuple[ChosenLora, ...]:
    """Return the LoRA weights that options such as `lora=NAME:0.8,OTHER` ask for.

    Raises:
        InvalidRequestError: a name is unknown or comes twice, a weight is no number, or a file is
            missing or no safetensors file.
    """
    return tuple(
        chosen
        for option, component in COMPONENTS.items()
        for chosen in _read(option, str(options.get(option) or ""), component, files)
    )


def check_loras(options: Options, files: Mapping[str, Path]) -> None:
    """Refuse what names no LoRA weights; no file is opened.

    Raises:
        InvalidRequestError: a name is unknown or comes twice, or a weight is no number.
    """
    for option in COMPONENTS:
        list(_read_names(option, str(options.get(option) or ""), files))


def _read(
    option: str, text: str, component: str, files: Mapping[str, Path]
) -> Iterator[ChosenLora]:
    for name, weight in _read_names(option, text, files):
        yield ChosenLora(name, _find_file(name, files[name]), component, weight)


def _read_names(option: str, text: str, files: Mapping[str, Path]) -> Iterator[tuple[str, float]]:
    """Yield the names that a text has, each with its weight."""
    seen = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, colon, said = (each.strip() for each in part.partition(":"))
        _check_name(option, name, files)
        if name in seen:
            raise InvalidRequestError(f"option {option} names {name} twice", hint="name it once")
        seen.add(name)
        yield name, _read_weight(option, said if colon else "1")


def _check_name(option: str, name: str, files: Mapping[str, Path]) -> None:
    spec = OptionSpec(name=option, type="string", choices=tuple(sorted(files)), description="")
    known = Capabilities(backend="diffusers", model="any", options=(spec,))
    for mismatch in check_options({option: name}, known):
        raise InvalidRequestError(
            f"option {option}: there is no LoRA {name!r}",
            hint=f"{mismatch.reason}; new ones: in the settings, under loras",
        )


def _read_weight(option: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise InvalidRequestError(
            f"option {option}: {text!r} is no weight", hint="for example NAME:0.8"
        )
    return weight


def _find_file(name: str, path: Path) -> Path:
    """Return the file of weights; a folder may name the one that it holds.

    Raises:
        InvalidRequestError: there is none, there are several, or it is damaged.
    """
    found = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if len(found) != 1:
        raise InvalidRequestError(
            f"LoRA {name}: {path} has {len(found)} safetensors files", hint="name one of them"
        )
    file = found[0]
    if file.suffix in PICKLES:
        raise InvalidRequestError(
            f"LoRA {name}: {file} can run code", hint="use a version that is a safetensors file"
        )
    try:
        fault = find_fault(file)
    except OSError as error:
        raise InvalidRequestError(f"LoRA {name}: {file}: {error.strerror}") from error
    if fault is not None:
        raise InvalidRequestError(f"LoRA {name}: {file} {fault}", hint="download it again")
    return file
