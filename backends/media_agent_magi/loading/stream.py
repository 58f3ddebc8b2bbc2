"""Fills a model that was built on the meta device, tensor by tensor, from mapped files.

Nothing is held twice: a shard is mapped, each of its tensors goes to where it will be used, and the
mapping is let go before the next shard. So the main memory needs one shard at most.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.headers import WeightFiles
from media_agent_magi.loading.packed import unpack
from media_agent_magi.loading.pickled import SUFFIXES

Report = Callable[[str, float], None]
"""Hears what is loaded, and how much of it is there, from 0 to 1."""

Place = Callable[[str, Tensor], Tensor]
"""Takes the name of a tensor and its numbers, still in the file; returns it where it is used."""


BUILDING = threading.RLock()
"""Held while modules are built.

transformers changes torch's default dtype meanwhile, for all threads; so whatever is computed in
another thread says its dtype itself.
"""


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """Build a module whose tensors have shapes and dtypes, and take no memory."""
    with BUILDING, torch.device("meta"):
        return make().eval().requires_grad_(False)


def to_device(device: torch.device) -> Place:
    """Place every tensor on one device, in memory of its own."""

    def place(name: str, tensor: Tensor) -> Tensor:
        return tensor.to(device, copy=True)

    return place


def fill(
    model: nn.Module,
    files: WeightFiles,
    place: Place,
    *,
    report: Report = lambda what, fraction: None,
    prefix: str = "",
    change: Place = lambda name, tensor: tensor,
) -> None:
    """Give a model on the meta device its numbers, in the dtypes that it was built with.

    `prefix` stands in front of its names in the files; `change` hears a tensor before it is
    converted, and returns what takes its place.

    Raises:
        WeightsError: Names or shapes differ, and all that do, or a file cannot be read. The model
            is as it was then, if names or shapes differ.
    """
    wanted = dict(model.named_parameters()) | dict(model.named_buffers())
    files.check({prefix + name: tuple(tensor.shape) for name, tensor in wanted.items()})
    done, total = 0, max(1, files.bytes)
    for file in files.files:
        names = [name for name, fact in files.tensors.items() if fact.file == file]
        try:
            with open_tensors(file, files.entry) as read:
                for name in names:
                    own = name.removeprefix(prefix)
                    tensor = change(own, read(files.stored_name(name)))
                    tensor = _convert(tensor, wanted[own].dtype)
                    _assign(model, own, place(own, tensor))
                    done += files.tensors[name].bytes
                    report(file.name, min(1.0, done / total))
        except torch.OutOfMemoryError:  # the file is not to blame
            raise
        except (SafetensorError, OSError, UnpicklingError, RuntimeError) as error:
            raise WeightsError(f"cannot read {file}: {error}") from error


@contextmanager
def open_tensors(file: Path, entry: str | None = None) -> Iterator[Callable[[str], Tensor]]:
    """Map a file into memory; yield what returns a tensor of it by its name in the file.

    Of a checkpoint of torch only tensors are read, whatever else it says, and of its `entry`.
    """
    if file.suffix in SUFFIXES:
        content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        yield (content if entry is None else content[entry]).__getitem__
        return
    with safe_open(unpack(file), framework="pt") as opened:
        yield opened.get_tensor


def _convert(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if tensor.dtype == dtype:
        return tensor
    if torch.float8_e4m3fn in (tensor.dtype, dtype):
        raise WeightsError(f"a tensor is stored as {tensor.dtype}, and {dtype} is wanted")
    return tensor.to(dtype)


def _assign(model: nn.Module, name: str, tensor: Tensor) -> None:
    place, _, own = name.rpartition(".")
    owner = model.get_submodule(place)
    if own in owner._parameters:
        owner._parameters[own] = nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[own] = tensor
