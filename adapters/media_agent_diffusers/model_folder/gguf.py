"""Reads the header of a GGUF file: which weights it has, and whether it is whole.

The format is described at github.com/ggml-org/ggml/blob/master/docs/gguf.md. Which kinds of numbers
are read was looked up in diffusers 0.42; the names of architectures are those of files that
github.com/city96/ComfyUI-GGUF makes and reads. Files of others may say any name.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from media_agent.storage.files import ordinary_file
from media_agent_diffusers.files import DENOISERS, ModelFiles, unusable
from media_agent_diffusers.generic.library import read_single_file_classes

_KINDS = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    30: ("BF16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
}
"""Kinds of numbers that diffusers reads: their name, numbers in a block, bytes of a block."""
_CONVERTED = ("F32", "F16")
"""Kinds that are held as whatever the model computes with; all others stay as they are."""

_ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "wan": ("Wan", "SkyReelsV2", "ChronoEdit"),
    "ltxv": ("LTX",),
    "hyvid": ("HunyuanVideo",),
    "cosmos": ("Cosmos",),
    **dict.fromkeys(("aura", "flux", "hidream", "lumina2", "qwen_image", "sd1", "sd3", "sdxl"), ()),
    **dict.fromkeys(("gemma3", "llama", "qwen2vl", "qwen3", "t5", "t5encoder"), ()),
}
"""How the classes begin that a known architecture is for; (): it makes no videos."""

_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of the other kinds of values in a header."""
_MOST_DIMENSIONS = 8
_LONGEST_VALUE = 2**24
"""Bytes of one text in a header; a length beyond is damage, and would be read into memory."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of a file."""

    kind: str
    """How its numbers are stored, such as "Q4_K"."""
    numbers: int
    bytes: int

    def held_bytes(self, width: int) -> int:
        """Return what it takes in memory where numbers of so many bytes are computed with."""
        return self.numbers * width if self.kind in _CONVERTED else self.bytes


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A file that is whole; its weights are still on disk."""

    path: Path
    architecture: str | None
    tensors: tuple[GgufTensor, ...]

    @property
    def kind(self) -> str:
        """Return how most of it is stored, such as "Q4_K"."""
        taken: dict[str, int] = {}
        for tensor in self.tensors:
            taken[tensor.kind] = taken.get(tensor.kind, 0) + tensor.bytes
        return max(taken, key=lambda kind: taken[kind])

    @property
    def is_packed(self) -> bool:
        """Return whether most of it takes no more in memory than in the file."""
        return self.kind not in _CONVERTED


def choose_gguf(files: ModelFiles, asked: Mapping[str, Path]) -> dict[str, GgufFile]:
    """Return the GGUF file of each component that has one, checked as far as headers tell.

    Raises:
        StorageError: there is no such component, diffusers reads none for it, or a file is missing,
            damaged, or for another model.
    """
    found = {}
    for component, path in asked.items():
        if component not in DENOISERS or component not in files.configs:
            can = ", ".join(name for name in DENOISERS if name in files.configs)
            raise unusable(
                files.path,
                f"no GGUF file can be given for {component!r}",
                f"it can be given for {can}" if can else "use it without a GGUF file",
            )
        name = str(files.index[component][1])
        readable = read_single_file_classes()
        if readable and name not in readable:
            raise unusable(
                files.path,
                f"diffusers reads no GGUF file for {name}, the class of its {component}",
                "use it without a GGUF file",
            )
        found[component] = _read_for(files, name, path)
    return found


def _read_for(files: ModelFiles, name: str, path: Path) -> GgufFile:
    try:
        file = read_gguf(path)
    except FileNotFoundError as error:
        raise unusable(files.path, f"there is no file {path}", "name the GGUF file") from error
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        hint = "download the GGUF file again, or name another"
        raise unusable(files.path, f"{path} {said}", hint) from error
    known = _ARCHITECTURES.get(file.architecture or "")
    if known is not None and not name.startswith(known):
        raise unusable(
            files.path,
            f"{path} has weights of {file.architecture!r}, not of a {name}",
            "name the GGUF file that was made from this model",
        )
    return file


def read_gguf(path: Path) -> GgufFile:
    """Read the header of a file, and check that everything it names is there.

    Raises:
        OSError: it cannot be read, or is no ordinary file.
        ValueError: it is no GGUF file, is cut off, or diffusers cannot read its numbers.
    """
    with ordinary_file(path) as reader:
        header = _Header(reader, os.fstat(reader.fileno()).st_size)
        start = header.take(4)
        if start == b"vers":
            raise ValueError("is only a pointer of Git LFS; run: git lfs pull")
        if start != b"GGUF":
            raise ValueError("is no GGUF file")
        version = header.number(4)
        if version not in _VERSIONS:
            raise ValueError(f"is of version {version} of GGUF, not of 2 or 3")
        count, values = header.number(8), header.number(8)
        said = dict(header.read_value() for _ in range(values))
        if count == 0:
            raise ValueError("has no weights")
        tensors = tuple(_list_tensors(header, count, said))
    architecture = said.get("general.architecture")
    return GgufFile(path, str(architecture) if architecture else None, tensors)


def _list_tensors(
    header: "_Header", count: int, said: Mapping[str, str | int | None]
) -> Iterator[GgufTensor]:
    """Yield the tensors, if the file is long enough for all of them."""
    if isinstance(parts := said.get("split.count"), int) and parts > 1:
        raise ValueError(f"is one of {parts} files; merge them into one: gguf-split --merge")
    end = 0
    for _ in range(count):
        tensor, offset = header.read_tensor()
        end = max(end, offset + tensor.bytes)
        yield tensor
    alignment = said.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError("has a damaged header")
    wanted = -(-header.position // alignment) * alignment + end
    if header.size < wanted:
        raise ValueError(f"is cut off: it has {header.size} of {wanted} bytes")


class _Header:
    """Reads the start of a file, piece by piece."""

    def __init__(self, reader: BufferedReader, size: int) -> None:
        self._reader = reader
        self.size = size

    @property
    def position(self) -> int:
        """Return how much was read."""
        return self._reader.tell()

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self._check_left(count)
        if count > _LONGEST_VALUE:
            raise ValueError("has a damaged header")
        return self._reader.read(count)

    def pass_over(self, count: int) -> None:
        """Skip the next bytes, which nobody needs."""
        self._check_left(count)
        self._reader.seek(count, os.SEEK_CUR)

    def _check_left(self, count: int) -> None:
        if count > self.size - self.position:
            raise ValueError("is cut off or has a damaged header")

    def number(self, width: int) -> int:
        """Return the next number, taken for a whole one."""
        return int.from_bytes(self.take(width), "little")

    def text(self) -> str:
        """Return the next string."""
        return self.take(self.number(8)).decode("utf-8", "replace")

    def read_value(self) -> tuple[str, str | int | None]:
        """Return the next name and its value; a list is passed over."""
        name, kind = self.text(), self.number(4)
        if kind != _ARRAY:
            return name, self._read_plain(kind)
        kind, count = self.number(4), self.number(8)
        if kind in _WIDTHS:
            self.pass_over(count * _WIDTHS[kind])
        else:
            for _ in range(count):
                self._read_plain(kind)
        return name, None

    def _read_plain(self, kind: int) -> str | int:
        if kind == _STRING:
            return self.text()
        if kind not in _WIDTHS:
            raise ValueError("has a damaged header")
        return self.number(_WIDTHS[kind])

    def read_tensor(self) -> tuple[GgufTensor, int]:
        """Return the next tensor, and where it lies after the header."""
        name, dimensions = self.text(), self.number(4)
        if not 0 < dimensions <= _MOST_DIMENSIONS:
            raise ValueError("has a damaged header")
        shape = [self.number(8) for _ in range(dimensions)]
        number, offset = self.number(4), self.number(8)
        if number not in _KINDS:
            raise ValueError(
                f"stores {name[:80]} in a way that diffusers does not read (type {number} of GGUF)"
            )
        kind, block, width = _KINDS[number]
        if shape[0] % block:
            raise ValueError("has a damaged header")
        numbers = math.prod(shape)
        return GgufTensor(kind, numbers, numbers // block * width), offset
