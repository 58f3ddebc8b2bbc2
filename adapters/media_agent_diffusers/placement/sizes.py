"""How many bytes the components of a folder take in memory, from the headers of their files.

Weights in GGUF stay as they are in their file; each layer is turned into full numbers only while it
computes, so there is always room for the largest of them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from media_agent.errors import ConfigurationError
from media_agent_diffusers.files import DENOISERS
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.model_folder.gguf import GgufFile
from media_agent_diffusers.settings import DiffusersOptions

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1}
_WHOLE_NUMBERS = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "I32": 4, "U32": 4, "I64": 8}


@dataclass(frozen=True, slots=True)
class ComponentSize:
    """What a component takes in memory, and the largest of its tensors."""

    total: int
    largest: int


def choose_dtypes(folder: ModelFolder, options: DiffusersOptions, device: str) -> dict[str, str]:
    """Return the number format of each component, such as "bfloat16"; "default" is for the others.

    Raises:
        ConfigurationError: the device cannot compute with them.
    """
    chosen: str = options.dtype
    if chosen == "auto":
        chosen = "float32" if device == "cpu" else "bfloat16"
    if chosen == "float16" and device == "cpu":
        raise ConfigurationError(
            "dtype = 'float16' does not work on a CPU", hint="set dtype = 'float32'"
        )
    return {"default": chosen, **dict.fromkeys(folder.variant.in_float32, "float32")}


def measure_model(
    folder: ModelFolder, options: DiffusersOptions, device: str
) -> dict[str, ComponentSize]:
    """Return the size of each component as the settings have it loaded on a device.

    Raises:
        ConfigurationError: the device cannot compute with such numbers.
    """
    dtypes = choose_dtypes(folder, options, device)
    small = dict.fromkeys(DENOISERS, "float8") if options.fp8 else {}
    return measure_components(folder, {**dtypes, **small})


def measure_components(folder: ModelFolder, dtypes: Mapping[str, str]) -> dict[str, ComponentSize]:
    """Return the size of each component once its weights are loaded as these numbers.

    `dtypes` has the format of each component, such as "bfloat16"; "default" is for the others.
    Files say how many numbers they hold: folders differ in how they store them.
    """
    sizes: dict[str, list[int]] = {}
    for file in folder.weights.files:
        name = file.relative_to(folder.path).parts[0]
        width = BYTES[dtypes.get(name, dtypes["default"])]
        sizes.setdefault(name, []).extend(_tensor_sizes(file, width))
    return {
        **{name: ComponentSize(sum(each), max(each, default=0)) for name, each in sizes.items()},
        **{
            name: _measure_gguf(file, BYTES[dtypes.get(name, dtypes["default"])])
            for name, file in folder.weights.gguf.items()
        },
    }


def _measure_gguf(file: GgufFile, width: int) -> ComponentSize:
    held = [tensor.held_bytes(width) for tensor in file.tensors]
    whole = max(tensor.numbers for tensor in file.tensors) * width
    return ComponentSize(sum(held) + whole, max(held) + whole)


def _tensor_sizes(file: Path, width: int) -> list[int]:
    with file.open("rb") as reader:
        header = json.loads(reader.read(int.from_bytes(reader.read(8), "little")))
    tensors = (value for key, value in header.items() if key != "__metadata__")
    return [math.prod(each["shape"]) * _WHOLE_NUMBERS.get(each["dtype"], width) for each in tensors]
