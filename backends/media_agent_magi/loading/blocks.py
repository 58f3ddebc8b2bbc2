"""Blocks that wait in the main memory and visit the device when it is their turn.

While one block computes, the next is copied; the weights of two are on the device at most.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

ALIGNED = 256
"""Bytes at whose multiples tensors begin, as torch lays them out itself."""


class StreamedBlocks:
    """Moves blocks to a device and away again, around their forwards.

    Their weights are kept, each block's in one piece, in page-locked memory where there is CUDA,
    and never written back. Torch rounds every such piece up to a power of two.
    """

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device) -> None:
        """Take over blocks whose weights are in the main memory."""
        self._device = device
        self._blocks = list(blocks)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._kept: list[Tensor] = []
        self._ready: dict[int, Tensor] = {}
        for number, block in enumerate(self._blocks):
            self._kept.append(self._keep(block))
            block.register_forward_pre_hook(self._entering(number))
            block.register_forward_hook(self._leaving(number))

    def bytes_on_device(self) -> int:
        """Return what the copies take that are on the device now."""
        return sum(piece.nbytes for piece in self._ready.values())

    def _keep(self, block: nn.Module) -> Tensor:
        """Return a piece of memory with the weights of a block, which are parts of it now."""
        size = sum(_length(tensor) for tensor in _tensors(block).values())
        piece = torch.empty(size, dtype=torch.uint8, pin_memory=self._stream is not None)
        before = _tensors(block)
        _put(block, piece)
        for name, tensor in _tensors(block).items():
            tensor.copy_(before[name])
        return piece

    def _entering(self, number: int) -> Any:
        def enter(block: nn.Module, given: object) -> None:
            self._copy(number)
            if self._stream is not None:
                torch.cuda.current_stream(self._device).wait_stream(self._stream)
            _put(block, self._ready[number])
            self._copy((number + 1) % len(self._blocks))

        return enter

    def _leaving(self, number: int) -> Any:
        def leave(block: nn.Module, given: object, out: object) -> None:
            _put(block, self._kept[number])
            if len(self._blocks) == 1:
                return
            if self._stream is not None:
                # what is copied next may take the place of this block, once that has computed;
                # so the host, which is ahead of the device, asks for no third place
                self._stream.wait_stream(torch.cuda.current_stream(self._device))
            del self._ready[number]

        return leave

    def _copy(self, number: int) -> None:
        if number in self._ready:
            return
        with torch.cuda.stream(self._stream):  # no stream: nothing changes
            self._ready[number] = self._kept[number].to(self._device, non_blocking=True, copy=True)


def _tensors(block: nn.Module) -> dict[str, Tensor]:
    named = dict(block.named_parameters()) | dict(block.named_buffers())
    return {name: tensor.data for name, tensor in named.items()}


def _length(tensor: Tensor) -> int:
    """Return the bytes of a tensor up to where the next one begins."""
    return -(-tensor.nbytes // ALIGNED) * ALIGNED


def _parts(block: nn.Module, piece: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a block, by name, as parts of a piece of memory."""
    start = 0
    for name, tensor in _tensors(block).items():
        part = piece[start : start + tensor.nbytes]
        yield name, part.view(tensor.dtype).view(tensor.shape)
        start += _length(tensor)


def _put(block: nn.Module, piece: Tensor) -> None:
    for name, tensor in _parts(block, piece):
        place, _, own = name.rpartition(".")
        owner = block.get_submodule(place)
        held = owner._parameters.get(own)
        if held is None:
            owner._buffers[own] = tensor
        else:
            held.data = tensor
