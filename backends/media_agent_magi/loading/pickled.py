"""What a `.pt` or `.pth` file of torch holds, read from its header. No torch here, and no code run.

Such a file is a zip: `data.pkl` describes the tensors, the other members are their numbers. Of what
pickle can do, only what a checkpoint of tensors needs is understood; anything else is refused.
What the tensors need is compared with the sizes and places of the members, none of which is read.
"""

import errno
import hashlib
import io
import pickle
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.headers import ITEM_BYTES, TensorFact, WeightFiles

SUFFIXES = (".pt", ".pth")
HEADER, NUMBERS = "data.pkl", "data/"
LONGEST_HEADER = 64 * 2**20
LOCAL_HEADER = 30  # bytes in front of a member, its name not counted
STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ByteStorage": "U8", "CharStorage": "I8",
    "ShortStorage": "I16", "BoolStorage": "BOOL",
}  # fmt: skip
"""Kind of storage -> its dtype as safetensors calls it."""

WRAPPED = "_fsdp_wrapped_module."
"""Stands in names that were saved from within a sharded model."""


def read_pickled(file: Path, entry: str | None = None, prefix: str = "") -> WeightFiles:
    """Read the header of a checkpoint; its tensors are named without `prefix`.

    Args:
        file: The checkpoint.
        entry: Of the checkpoint, which holds the tensors; None where it holds them itself.
        prefix: Stands in front of all their names.

    Raises:
        WeightsError: It is cut off, half downloaded or no such file, lacks numbers of its tensors,
            holds more than tensors, or has no such entry.
    """
    content, digest = _read_header(file)
    nested = {name: each for name, each in content.items() if isinstance(each, dict)}
    if entry is not None:
        if entry not in nested:
            held = ", ".join(map(str, nested)) or "tensors without an entry"
            raise WeightsError(f"{file.name} has no entry {entry!r}; it holds {held}")
        content = nested[entry]
    elif nested:
        raise WeightsError(f"{file.name} holds entries and no tensors: {', '.join(nested)}")
    if not all(isinstance(name, str) for name in content):
        raise WeightsError(f"{file.name} holds no tensors by name")
    stored = {_own_name(name, prefix): name for name in content}
    tensors = {
        own: TensorFact(file, content[name].dtype, content[name].shape)
        for own, name in stored.items()
        if isinstance(content[name], _Tensor)
    }
    if len(tensors) < len(content):
        raise WeightsError(f"{file.name} holds what are no tensors, or two of one name")
    return WeightFiles(file, (file,), tensors, digest, entry, stored)


def _own_name(name: str, prefix: str) -> str:
    return name.replace(WRAPPED, "").removeprefix(prefix)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A member: its name, and how many numbers of which dtype it is said to hold."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor. end: how many numbers of the member there are up to its last one."""

    numbers: _Numbers
    shape: tuple[int, ...]
    end: int

    @property
    def dtype(self) -> str:
        return self.numbers.dtype

    @property
    def bytes(self) -> int:
        """What the member holds at least."""
        return max(self.end, self.numbers.count) * ITEM_BYTES[self.dtype]


def _read_header(file: Path) -> tuple[Mapping[str, Any], str]:
    """Return what it holds, and a digest of its names and the checksums of its numbers."""
    try:
        with ZipFile(file) as content:  # its list of members is at its end
            members = content.infolist()
            headers = [each for each in members if each.filename.partition("/")[2] == HEADER]
            place = headers[0] if len(headers) == 1 else None
            if place is None:
                raise WeightsError(f"{file.name} was not written by torch.save")
            if place.file_size > LONGEST_HEADER:
                raise WeightsError(f"{file.name} has a header of {place.file_size} bytes")
            text = content.read(place)
            root = place.filename.removesuffix(HEADER)
            held = _unpickle(file, text)
            _check_members(file, content, root, held)
    except BadZipFile as error:
        raise WeightsError(f"{file.name} is cut off or damaged, or no file of torch") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # its list of members names places in front of its start
            raise WeightsError(f"{file.name} is cut off or damaged") from error
        raise WeightsError(f"cannot read {file}: {error.strerror}") from error
    except (RuntimeError, ValueError, EOFError, zlib.error) as error:  # encrypted, another packing
        raise WeightsError(f"{file.name} is no file of torch: {error}") from error
    digest = hashlib.sha256(text)
    for member in members:
        digest.update(f"{member.file_size} {member.CRC}\n".encode())
    return held, digest.hexdigest()


def _unpickle(file: Path, text: bytes) -> Mapping[Any, Any]:
    try:
        held = _Reader(io.BytesIO(text)).load()
    except WeightsError as error:
        raise WeightsError(f"{file.name} {error}") from error
    except Exception as error:  # damage of any kind
        raise WeightsError(f"{file.name} is damaged: {type(error).__name__}") from error
    if not isinstance(held, dict):
        raise WeightsError(f"{file.name} holds no tensors by name")
    return held


def _check_members(file: Path, content: ZipFile, root: str, held: Mapping[Any, Any]) -> None:
    """Refuse a file in which a tensor lacks numbers; all of its entries are looked at."""
    members = _places(content)
    tensors = dict(_tensors(held))
    faults: dict[str, str] = {}
    for name, tensor in tensors.items():
        member, end = members.get(f"{root}{NUMBERS}{tensor.numbers.key}", (None, 0))
        if member is None:
            faults[name] = "is missing"
        elif member.file_size < tensor.bytes or member.compress_type != ZIP_STORED:
            faults[name] = f"has {member.file_size} bytes of {tensor.bytes}"
        elif _data_start(member) + member.file_size > end or not _begins(content, member):
            faults[name] = "is not where it should be"
    if faults:
        first, fault = next(iter(faults.items()))
        raise WeightsError(
            f"{file.name} is cut off or half downloaded: {len(faults)} of {len(tensors)} tensors "
            f"are not whole, first {first}, which {fault}"
        )


def _places(content: ZipFile) -> dict[str, tuple[ZipInfo, int]]:
    """Return the members by name, each with the place in the file where the next thing begins."""
    members = sorted(content.infolist(), key=lambda member: member.header_offset)
    ends = [*(member.header_offset for member in members[1:]), content.start_dir]
    return {member.filename: (member, end) for member, end in zip(members, ends, strict=True)}


def _data_start(member: ZipInfo) -> int:
    """Return where the numbers of a member begin, at the earliest."""
    return member.header_offset + LOCAL_HEADER + len(member.filename)


def _begins(content: ZipFile, member: ZipInfo) -> bool:
    """Whether a member is where the list of members says; of a hole in the file it is not."""
    try:
        content.open(member).close()
    except BadZipFile:
        return False
    return True


def _tensors(held: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, _Tensor]]:
    for name, each in held.items():
        if isinstance(each, _Tensor):
            yield f"{prefix}{name}", each
        elif isinstance(each, dict) and not prefix:
            yield from _tensors(each, f"{name}: ")


class _Reader(pickle.Unpickler):
    """Understands tensors and mappings; no class or function of a file is ever called."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _tensor_of if name == "_rebuild_tensor_v2" else _parameter_of
        if module == "torch" and name in STORAGES:
            return _Storage(STORAGES[name])
        raise WeightsError(f"holds {module}.{name}, and only tensors are read")

    def persistent_load(self, saved: Any) -> _Numbers:
        _, kind, key, _, count = saved
        if not isinstance(kind, _Storage):
            raise WeightsError("holds storage of an unknown kind")
        return _Numbers(str(key), kind.dtype, int(count))


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: str

    def __call__(self) -> "_Storage":
        raise WeightsError("makes a storage, and only tensors are read")


def _tensor_of(
    numbers: _Numbers, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *rest: object
) -> _Tensor:
    if min((offset, *shape, *strides)) < 0:
        raise WeightsError("holds a tensor of a negative size")
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    return _Tensor(numbers, tuple(shape), 0 if 0 in shape else offset + last + 1)


def _parameter_of(tensor: _Tensor, *rest: object) -> _Tensor:
    return tensor
