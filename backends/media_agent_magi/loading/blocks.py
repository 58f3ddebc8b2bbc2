"""Blocks that wait in the main memory and visit the device when it is their turn.

While one block computes, the next is copied; the weights of two are on the device at most.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class StreamedBlocks:
    """Moves blocks to a device and away again, around their forwards.

    Their weights are kept, in page-locked memory where there is CUDA, and never written back.
    """

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device) -> None:
        """Take over blocks whose weights are in the main memory."""
        self._device = device
        self._blocks = list(blocks)
        self._kept = [_tensors(block) for block in self._blocks]
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._ready: dict[int, dict[str, Tensor]] = {}
        for number, block in enumerate(self._blocks):
            if self._stream is not None:
                self._kept[number] = {n: t.pin_memory() for n, t in self._kept[number].items()}
                _put(block, self._kept[number])
            block.register_forward_pre_hook(self._entering(number))
            block.register_forward_hook(self._leaving(number))

    def bytes_on_device(self) -> int:
        """Return what the copies take that are on the device now."""
        copies = (t for tensors in self._ready.values() for t in tensors.values())
        return sum(tensor.nbytes for tensor in copies)

    def _entering(self, number: int) -> Any:
        def enter(block: nn.Module, given: object) -> None:
            if number not in self._ready:
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
            for tensor in self._ready.pop(number).values():
                if self._stream is not None:  # it is not written over before the block is done
                    tensor.record_stream(torch.cuda.current_stream(self._device))

        return leave

    def _copy(self, number: int) -> None:
        if number in self._ready:
            return
        with torch.cuda.stream(self._stream):  # no stream: nothing changes
            self._ready[number] = {
                name: tensor.to(self._device, non_blocking=True, copy=True)
                for name, tensor in self._kept[number].items()
            }


def _tensors(block: nn.Module) -> dict[str, Tensor]:
    named = dict(block.named_parameters()) | dict(block.named_buffers())
    return {name: tensor.data for name, tensor in named.items()}


def _put(block: nn.Module, tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        place, _, own = name.rpartition(".")
        owner = block.get_submodule(place)
        held = owner._parameters.get(own)
        if held is None:
            owner._buffers[own] = tensor
        else:
            held.data = tensor
