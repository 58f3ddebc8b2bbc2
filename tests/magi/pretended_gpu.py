"""A GPU that is not there: tensors on the CPU that say they are on it, and may not be mixed.

All numbers are computed by the CPU. So the way that an engine takes on a GPU can be followed to its
end on any machine: which tensors lie where, and how often it waits for results. What kernels of a
GPU do is not tried.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from media_agent_magi.engine.blocks import kernels as attention
from media_agent_magi.engine.blocks.kernels import rounded_once

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
COPIES = ("copy_", "_has_compatible_shallow_copy_type")
WAITS = ("item", "_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select")


class DeviceMixError(RuntimeError):
    """An operation was given tensors of several devices."""


class PretendedGpu(TorchFunctionMode):
    """Knows which tensors are on the GPU, by their storage.

    waits: how often the CPU had to wait for the GPU, by the operation that made it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[int, torch.device] = {}
        self.waits: Counter[str] = Counter()

    def place(self, tensor: Tensor) -> torch.device:
        """Return where a tensor is."""
        if tensor.is_meta:
            return tensor.device
        return self._places.get(tensor.untyped_storage()._cdata, CPU)

    def put(self, made: Any, device: torch.device) -> Any:
        """Say where tensors are that were just made."""
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and not tensor.is_meta and device.type == "cuda":
                storage = tensor.untyped_storage()
                if storage._cdata not in self._places:
                    weakref.finalize(storage, self._places.pop, storage._cdata, None)
                self._places[storage._cdata] = device
        return made

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Answer where tensors are; make them where they are wanted."""
        kwargs = dict(kwargs or {})
        match function:
            case Tensor.device.__get__:
                return self.place(args[0])
            case Tensor.is_cuda.__get__:
                return self.place(args[0]).type == "cuda"
            case Tensor.is_cpu.__get__:
                return self.place(args[0]).type == "cpu"
            case Tensor.to:
                return self._move(*args, **kwargs)
            case Tensor.cpu:
                return self._move(args[0], CPU)
            case Tensor.pin_memory:
                return args[0]
            case Tensor.numpy if self.place(args[0]) == GPU:
                raise TypeError("a tensor on a GPU has no numpy array")
            case torch.mm if "out_dtype" in kwargs:
                return torch.mm(*(x.to(kwargs["out_dtype"]) for x in args))
            case _:
                return self._call(function, args, kwargs)

    def _call(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        kwargs.pop("pin_memory", None)
        wanted = kwargs.get("device")
        if wanted is None or torch.device(wanted).type == "meta":
            return function(*args, **kwargs)
        device = whole(wanted)
        generator = kwargs.get("generator")
        if generator is not None and device != CPU:
            raise DeviceMixError(f"{function} on {device} with a generator of the CPU")
        made = function(*args, **kwargs | {"device": "cpu"})
        if device.type == "cuda" and function in (torch.tensor, torch.as_tensor):
            self.waits["copied to it"] += 1
        return self.put(made, device)

    def _move(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        copy, other = kwargs.pop("copy", False), args[0] if args else kwargs.pop("other", None)
        if isinstance(other, Tensor):
            device, dtype, ahead = self.place(other), other.dtype, False
        else:
            device, dtype, ahead, _ = torch._C._nn._parse_to(*args, **kwargs)
        here = self.place(tensor)
        device = here if device is None else whole(device)
        dtype = tensor.dtype if dtype is None else dtype
        if device.type == "meta":
            return tensor.to(device, dtype)
        if (device, dtype) == (here, tensor.dtype) and not copy:
            return tensor
        if device != here and not ahead:
            self.waits["copied to it" if device.type == "cuda" else "copied from it"] += 1
        moved = tensor.detach().to(dtype, copy=True)
        self._places.pop(moved.untyped_storage()._cdata, None)
        return self.put(moved, device)


class _Checking(TorchDispatchMode):
    """Refuses to mix what is on the GPU with what is not; results are where their inputs are."""

    def __init__(self, gpu: PretendedGpu) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        places = {self._gpu.place(x) for x in given if x.dim() or self._gpu.place(x) != CPU}
        if len(places) > 1 and name not in COPIES:
            shapes = ", ".join(f"{tuple(x.shape)} on {self._gpu.place(x)}" for x in given)
            raise DeviceMixError(f"{name} of {shapes}")
        if GPU in places and name in WAITS:
            self._gpu.waits[name] += 1
        made = function(*args, **(kwargs or {}))
        if places and name not in COPIES:
            self._gpu.put(made, places.pop())
        return made


def whole(device: Any) -> torch.device:
    """Return a device with its number."""
    device = torch.device(device)
    return GPU if device == torch.device("cuda") else device


class _Stream:
    """A stream whose work is done at once."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def wait_stream(self, other: Any) -> None: ...

    def wait_event(self, event: Any) -> None: ...

    def synchronize(self) -> None: ...

    def record_event(self) -> "_Stream":
        return self


@contextmanager
def pretended_gpu() -> Iterator[PretendedGpu]:
    """Let there be a GPU."""
    gpu = PretendedGpu()
    parts = {
        "Stream": _Stream,
        "current_stream": _Stream,
        "stream": nullcontext,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_capability": lambda *_: (8, 0),
        "get_device_name": lambda *_: "a GPU that is not there",
    }
    with ExitStack() as stack:
        for name, part in parts.items():
            stack.enter_context(patch.object(torch.cuda, name, part))
        kernels = {"stand-in": (lambda asked, debug=False: True, rounded_once)}
        stack.enter_context(patch.object(attention, "WITHOUT_SCORES", kernels))
        stack.enter_context(_Checking(gpu))
        stack.enter_context(gpu)
        yield gpu
