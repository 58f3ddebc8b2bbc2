"""Keys and values that wait in the main memory and are copied to the device layer by layer."""

from collections.abc import Callable

import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache


class HostCache(KVCache):
    """A ring in page-locked memory, where there is CUDA; what is read is a copy on the device."""

    def __init__(self, device: torch.device, capacity: int = 0) -> None:
        """Start empty; `device` is where the keys are used."""
        super().__init__(capacity)
        self._device = device

    def read(self, layer: int, start: int, end: int) -> Tensor:
        """Return a copy of entries on the device; otherwise as `KVCache.read`."""
        return super().read(layer, start, end).to(self._device, non_blocking=True)

    def pass_through(
        self, layer: int, position: int, keys: Tensor, values: Tensor, stored: int
    ) -> Tensor:
        """Return a copy of entries on the device; otherwise as `KVCache.pass_through`."""
        held = super().pass_through(layer, position, keys, values, stored)
        return held.to(self._device, non_blocking=True)

    def forget_before(self, token: int) -> None:
        """As `KVCache.forget_before`, once no copy to the device is under way any more."""
        if self._device.type == "cuda" and token > self.first_token:
            torch.cuda.current_stream(self._device).synchronize()
        super().forget_before(token)

    def move_origin(self, chunks: int, tokens: int, turn: Callable[[Tensor], Tensor]) -> None:
        """As `KVCache.move_origin`; keys are turned on the device."""
        super().move_origin(chunks, tokens, lambda keys: turn(keys.to(self._device)))

    def _allocate(self, like: Tensor, *shape: int) -> Tensor:
        pinned = self._device.type == "cuda"
        return torch.empty(shape, dtype=like.dtype, device="cpu", pin_memory=pinned)
