"""Which files of a folder will be loaded as weights, by the names that the libraries look for.

What the libraries read was tried with diffusers 0.42 and transformers 5: names are fixed, one
variant such as "bf16" holds for the whole folder, and a component that has no file of the variant
is read under its plain name. Where there are both an index of shards and a single file, diffusers
reads the shards and transformers the single file.
"""

import json
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from media_agent.errors import StorageError
from media_agent.storage.files import ordinary_file
from media_agent_diffusers.files import DENOISERS, read_json, unusable
from media_agent_diffusers.model_folder.gguf import GgufFile

STEMS = {
    "diffusers": "diffusion_pytorch_model",
    "ltx2": "diffusion_pytorch_model",  # the part of diffusers that its pipelines lie in
    "transformers": "model",
}
"""How the files of weights are called, by the library of the component; others run no code."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_BITS = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""What a number takes, by the names of safetensors."""
_TOO_MANY = 2**63
_NAMED = 3  # of the missing files
_SHARD = r"(?:-\d+-of-\d+)?"
_VARIANT = re.compile(
    rf"(?:{'|'.join(STEMS.values())}){_SHARD}\.(?P<variant>[\w-]+?){_SHARD}\.safetensors"
)


@dataclass(frozen=True, slots=True)
class Weights:
    """The files that will be loaded."""

    files: tuple[Path, ...]
    """In the order of their names within the folder."""
    variant: str | None
    """What the libraries call the variant, such as "bf16"; None: the plain names."""
    gguf: Mapping[str, GgufFile] = field(default_factory=dict)
    """The components whose weights are in a file of this kind instead, which may lie anywhere."""


def find_weights(path: Path, libraries: Mapping[str, str]) -> Weights:
    """Find the files that will be loaded, and check their lengths against their headers.

    Raises:
        StorageError: files are missing, damaged, or have names that are not looked for.
    """
    weights = choose_weights(path, libraries)
    _check_whole(path, weights.files)
    return weights


def choose_weights(path: Path, libraries: Mapping[str, str], variant: str | None = None) -> Weights:
    """Choose the files to load by their names alone.

    `libraries` names the library of each component that has weights. The plain names are preferred;
    a variant is used where they are incomplete and it is complete, or if it is asked for.

    Raises:
        StorageError: files are missing or have names that are not looked for.
    """
    found = sorted(_find_variants(path, libraries))
    if variant is not None and variant not in found:
        kinds = ", ".join(found) or "none"
        raise unusable(path, f"it has no variant {variant!r}; its variants: {kinds}")
    lacking: list[list[Path]] = []
    for each in (None, *found) if variant is None else (variant,):
        files = _list_files(path, libraries, each)
        missing = [file for file in files if not file.is_file()]
        if not missing:
            return Weights(tuple(files), each)
        lacking.append(missing)
    raise _missing(path, min(lacking, key=len))


def list_indexes(path: Path, weights: Weights) -> list[Path]:
    """Return the indexes of shards that are read with these weights."""
    indexes = sorted(path.glob("*/*.safetensors.index*.json"))
    return [
        index
        for index in indexes
        if {index.parent / name for name in _list_shards(index.parent, index.name)}
        <= set(weights.files)
    ]


def _check_whole(path: Path, files: Iterable[Path]) -> None:
    for file in files:
        reason = find_fault(file)
        if reason is not None:
            raise unusable(path, f"{file.relative_to(path).as_posix()} {reason}")


def _find_variants(path: Path, libraries: Mapping[str, str]) -> set[str]:
    names = (file.name for component in libraries for file in (path / component).iterdir())
    return {match["variant"] for match in map(_VARIANT.fullmatch, names) if match is not None}


def _list_files(path: Path, libraries: Mapping[str, str], variant: str | None) -> list[Path]:
    """Return the files that are read with this variant, whether they are there or not."""
    files = (
        path / component / name
        for component, library in libraries.items()
        for name in _list_names(path / component, library, variant)
    )
    return sorted(files, key=lambda file: file.relative_to(path).as_posix())


def _list_names(folder: Path, library: str, variant: str | None) -> list[str]:
    suffix = f".{variant}" if variant is not None and _has_variant(folder, variant) else ""
    single = f"{STEMS[library]}{suffix}.safetensors"
    index = f"{STEMS[library]}.safetensors.index{suffix}.json"
    has_single, has_index = (folder / single).is_file(), (folder / index).is_file()
    if has_index and not (has_single and library == "transformers"):
        return _list_shards(folder, index)
    has_shards = any(folder.glob(f"{STEMS[library]}{suffix}-*-of-*.safetensors"))
    return [index] if has_shards and not has_single else [single]


def _has_variant(folder: Path, variant: str) -> bool:
    """Return whether diffusers takes a component for one of this variant; any file will do."""
    names = (file.name.split(".") for file in folder.iterdir())
    return any(len(parts) > 1 and parts[1].startswith(variant) for parts in names)


def _list_shards(folder: Path, index: str) -> list[str]:
    shards = read_json(folder.parent, f"{folder.name}/{index}").get("weight_map")
    names = set(shards.values()) if isinstance(shards, dict) else set()
    if not names or not all(isinstance(name, str) and name == Path(name).name for name in names):
        raise unusable(folder.parent, f"{folder.name}/{index} names no files")
    return sorted(names)


def _missing(path: Path, files: list[Path]) -> StorageError:
    """Return the error for files that are not there, with what is there instead."""
    component = files[0].parent
    more = f" and {len(files) - _NAMED} more are" if len(files) > _NAMED else " are"
    names = ", ".join(file.relative_to(path).as_posix() for file in files[:_NAMED])
    wanted = f"{names}{more if len(files) > 1 else ' is'} missing"
    others = sorted(each.name for each in component.iterdir() if each.suffix == ".safetensors")
    pickled = sorted(each.name for each in component.iterdir() if each.suffix in PICKLES)
    if others:
        return unusable(
            path,
            f"{wanted}; {component.name} has {', '.join(others[:3])}",
            "weights are found by this name only, and one variant holds for all components; "
            "download what is missing, or rename the file if it holds the same weights",
        )
    if pickled:
        return unusable(
            path,
            f"{component.name} has its weights in {pickled[0]} only, which can run code",
            "use a version with safetensors files",
        )
    reason = f"{component.name} has no weights; {wanted}"
    return unusable(path, reason, _suggest_gguf(path, component.name))


def _suggest_gguf(path: Path, component: str) -> str | None:
    """Return how a GGUF file that lies in the folder is used, None if there is none."""
    found = sorted([*path.glob("*.gguf"), *(path / component).glob("*.gguf")])
    if not found or component not in DENOISERS:
        return None
    words = ("media-agent", "models", "add", str(path), "--gguf", f"{component}={found[0]}")
    return f"to use a GGUF file instead: {shlex.join(words)}"


def find_fault(file: Path) -> str | None:
    """Return what is wrong with a file of weights, None if its length fits its header.

    Raises:
        OSError: it cannot be read, or is no ordinary file.
    """
    with ordinary_file(file) as reader:
        size = os.fstat(reader.fileno()).st_size
        start = reader.read(8)
        if start == b"version ":
            return "is only a pointer of Git LFS; run: git lfs pull"
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            return "is cut off or no safetensors file"
        try:
            header = json.loads(reader.read(length))
            header.pop("__metadata__", None)
            wanted = 8 + length + max(map(_find_end, header.values()), default=0)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return "has a damaged header"
    return None if size == wanted else f"has {size} of {wanted} bytes"


def _find_end(tensor: Mapping[str, Any]) -> int:
    """Return where a tensor ends, if it takes as many bytes as its shape says.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it does not, or something is no number.
    """
    start, end = tensor["data_offsets"]
    shape = tensor["shape"]
    if not all(type(number) is int and 0 <= number < _TOO_MANY for number in (start, end, *shape)):
        raise ValueError("it has numbers that are none")
    if math.prod(shape) * _BITS[tensor["dtype"]] != 8 * (end - start):
        raise ValueError("its shape is another one")
    return int(end)
