"""What a `.pt` or `.pth` file of torch holds, read from its header. No torch here, and no code run.

Such a file is a zip: `data.pkl` describes the tensors, the other members are their numbers. Of what
pickle can do, only what a checkpoint of tensors needs is understood; anything else is refused.
"""

import hashlib
import io
import pickle
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.headers import TensorFact, WeightFiles

SUFFIXES = (".pt", ".pth")
HEADER = "data.pkl"
LONGEST_HEADER = 64 * 2**20
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
        WeightsError: It is cut off, half downloaded or no such file, holds more than tensors, or
            has no such entry.
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
class _Tensor:
    dtype: str
    shape: tuple[int, ...]


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
    except BadZipFile as error:
        raise WeightsError(f"{file.name} is cut off or damaged, or no file of torch") from error
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror}") from error
    except (RuntimeError, ValueError, EOFError, zlib.error) as error:  # encrypted, another packing
        raise WeightsError(f"{file.name} is no file of torch: {error}") from error
    digest = hashlib.sha256(text)
    for member in members:
        digest.update(f"{member.file_size} {member.CRC}\n".encode())
    try:
        held = _Reader(io.BytesIO(text)).load()
    except WeightsError as error:
        raise WeightsError(f"{file.name} {error}") from error
    except Exception as error:  # damage of any kind
        raise WeightsError(f"{file.name} is damaged: {type(error).__name__}") from error
    if not isinstance(held, dict):
        raise WeightsError(f"{file.name} holds no tensors by name")
    return held, digest.hexdigest()


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

    def persistent_load(self, saved: Any) -> str:
        kind = saved[1]
        if not isinstance(kind, _Storage):
            raise WeightsError("holds storage of an unknown kind")
        return kind.dtype


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: str

    def __call__(self) -> "_Storage":
        raise WeightsError("makes a storage, and only tensors are read")


def _tensor_of(dtype: str, offset: int, shape: tuple[int, ...], *rest: object) -> _Tensor:
    if min(shape, default=0) < 0:
        raise WeightsError("holds a tensor of a negative size")
    return _Tensor(dtype, tuple(shape))


def _parameter_of(tensor: _Tensor, *rest: object) -> _Tensor:
    return tensor
