"""How many bytes the components of a folder take in memory, from the headers of their files.

Weights in GGUF stay as they are in their file; each layer is turned into full numbers only while it
computes, so there is always room for the largest of them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from media_agent_diffusers.folder import ModelFolder
from media_agent_diffusers.gguf import GgufFile

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1}
_WHOLE_NUMBERS = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "I32": 4, "U32": 4, "I64": 8}


@dataclass(frozen=True, slots=True)
class ComponentSize:
    """What a component takes in memory, and the largest of its tensors."""

    total: int
    largest: int


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
