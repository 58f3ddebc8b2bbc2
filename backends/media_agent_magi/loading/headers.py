"""What weight files hold, read from their headers alone. No torch here.

A folder holds one safetensors file, or shards and an index that names them; a shard may be packed
with zstd, as `NAME.zst`. Files that are cut off or still being downloaded are named.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from media_agent_magi.generating.family import WeightsError

LENGTH_BYTES = 8  # of the length of the header, in front of it
LONGEST_HEADER = 100 * 2**20
SAMPLE = 2**16  # bytes of tensors that identify a file, at its start and at its end
ITEM_BYTES = {
    "F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "F8_E4M3": 1, "U8": 1,
    "I8": 1, "BOOL": 1,
}  # fmt: skip
UNFINISHED = (".part", ".incomplete", ".aria2", ".crdownload", ".tmp")


@dataclass(frozen=True, slots=True)
class TensorFact:
    """A tensor in a file: its dtype as safetensors calls it, and its shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """What it takes in the file."""
        return math.prod(self.shape) * ITEM_BYTES.get(self.dtype, 1)


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of one model and the tensors in them, by name."""

    folder: Path
    files: tuple[Path, ...]
    tensors: Mapping[str, TensorFact]
    fingerprint: str
    """Of the headers and some of the numbers; it tells weights apart without reading them all."""
    entry: str | None = None
    """Of a checkpoint of torch, which holds them; None where the file holds them itself."""
    stored: Mapping[str, str] = field(default_factory=dict)
    """Names as they stand in the files, where they differ."""

    def stored_name(self, name: str) -> str:
        """Return how a tensor is called in its file."""
        return self.stored.get(name, name)

    @property
    def bytes(self) -> int:
        """What all tensors take."""
        return sum(tensor.bytes for tensor in self.tensors.values())

    def check(self, wanted: Mapping[str, tuple[int, ...]]) -> None:
        """Compare names and shapes with those of a model.

        Raises:
            WeightsError: They differ; all differences are listed.
        """
        found = {name: tensor.shape for name, tensor in self.tensors.items()}
        both = sorted(set(wanted) & set(found))
        differing = [f"{n} {found[n]}, not {wanted[n]}" for n in both if found[n] != wanted[n]]
        parts = [
            list_names("missing", sorted(set(wanted) - set(found))),
            list_names("unexpected", sorted(set(found) - set(wanted))),
            list_names("of another shape", differing),
        ]
        if faults := [part for part in parts if part]:
            raise WeightsError(f"{self.folder} does not fit the model: {'; '.join(faults)}")


def list_names(what: str, names: list[str]) -> str:
    """Return how many names there are and all of them, patterns of blocks written once."""
    by_pattern: dict[str, int] = {}
    for name in names:
        pattern = ".".join("*" if part.isdigit() else part for part in name.split("."))
        by_pattern[pattern] = by_pattern.get(pattern, 0) + 1
    shown = ", ".join(p if n == 1 else f"{p} ({n})" for p, n in by_pattern.items())
    return f"{len(names)} {what}: {shown}" if names else ""


def read_folder(folder: Path, stem: str = "model") -> WeightFiles:
    """Read the headers of all weights in a folder; `stem` is how their files are called.

    Raises:
        WeightsError: Files are missing, cut off, half downloaded, or no safetensors; all are named.
    """
    files = find_files(folder, stem)
    tensors: dict[str, TensorFact] = {}
    faults: list[str] = []
    digest = hashlib.sha256()
    for file in files:
        try:
            for name, fact in read_file(file, digest):
                if name in tensors:
                    faults.append(f"{name} is in {tensors[name].file.name} and in {file.name}")
                tensors[name] = fact
        except WeightsError as error:
            faults.append(str(error))
    if faults:
        raise WeightsError("; ".join(faults))
    return WeightFiles(folder, files, tensors, digest.hexdigest())


def find_files(folder: Path, stem: str = "model") -> tuple[Path, ...]:
    """Return the weight files of a folder, packed ones by their packed name.

    Raises:
        WeightsError: There are none, or some are missing or half downloaded.
    """
    index = folder / f"{stem}.safetensors.index.json"
    names = sorted(set(_read_index(index))) if index.is_file() else [f"{stem}.safetensors"]
    found, faults = [], []
    for name in names:
        file = next((f for f in (folder / name, folder / f"{name}.zst") if f.is_file()), None)
        if file is None:
            faults.append(_describe_absent(folder, name))
        else:
            found.append(file)
    if faults:
        raise WeightsError(f"in {folder} {'; '.join(faults)}")
    return tuple(found)


def find_unfinished(folder: Path, name: str) -> Path | None:
    """Return what a download of a file has left so far, None where there is nothing."""
    parts = (each for each in sorted(folder.glob(f"{name}*")) if each.suffix in UNFINISHED)
    return next(parts, None)


def read_header(file: BinaryIO, name: str) -> dict[str, Any]:
    """Return the header of a safetensors file.

    Raises:
        WeightsError: It is none.
    """
    start = file.read(LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES or not 0 < length <= LONGEST_HEADER:
        raise WeightsError(f"{name} is no safetensors file, or it is cut off at its start")
    text = file.read(length)
    if len(text) < length:
        raise WeightsError(f"{name} is cut off within its header")
    try:
        header = json.loads(text)
    except ValueError as error:
        raise WeightsError(f"{name} is no safetensors file: its header is no JSON") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{name} is no safetensors file: its header is no object")
    return {"": LENGTH_BYTES + length, **header}


def read_file(
    path: Path, digest: "hashlib._Hash | None" = None
) -> Iterator[tuple[str, TensorFact]]:
    """Yield the tensors of a file by name; `digest` takes in its header and some of its numbers.

    Raises:
        WeightsError: It is cut off, or no safetensors file.
    """
    digest = hashlib.sha256() if digest is None else digest
    if path.suffix == ".zst":
        from media_agent_magi.loading.packed import open_packed

        opened: Any = open_packed(path)
    else:
        opened = path.open("rb")
    with opened as file:
        header = read_header(file, path.name)
        start = header.pop("")
        header.pop("__metadata__", None)
        digest.update(f"{path.name} {json.dumps(header, sort_keys=True)}".encode())
        digest.update(file.read(SAMPLE))
        try:
            size = start + max((each["data_offsets"][1] for each in header.values()), default=0)
            facts = [
                (name, TensorFact(path, each["dtype"], tuple(each["shape"])))
                for name, each in header.items()
            ]
        except (KeyError, TypeError, IndexError) as error:
            raise WeightsError(f"{path.name} is no safetensors file: {error!r}") from error
    if path.suffix != ".zst":
        held = path.stat().st_size
        if held != size:
            how = "cut off" if held < size else "too long"
            raise WeightsError(f"{path.name} is {how}: it has {held} bytes of {size}")
        with path.open("rb") as file:
            file.seek(max(0, size - SAMPLE))
            digest.update(file.read())
    yield from facts


def _read_index(index: Path) -> Iterable[str]:
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        names = [str(shard) for shard in shards]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"cannot read {index}: {type(error).__name__}: {error}") from error
    if outside := sorted({name for name in names if Path(name).name != name}):
        raise WeightsError(f"{index} names files outside of its folder: {outside[0]}")
    return names


def _describe_absent(folder: Path, name: str) -> str:
    unfinished = find_unfinished(folder, name)
    if unfinished is not None:
        size = unfinished.stat().st_size
        return f"{name} is half downloaded: {unfinished.name} has {size} bytes so far"
    return f"{name} is missing"
