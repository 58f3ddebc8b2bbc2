"""Keys and values of the chunks a later forward may still look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class KVCache:
    """A ring: per layer one tensor (N, capacity, G, 2*dh), key after norm and rotary, then value.

    It is written in place. What is forgotten makes room at its end, so that what is held lies in
    one piece and in order. Token positions count from chunk `origin`, which follows a long video,
    so that they stay small and exact. Tokens before `first_token` have been forgotten.
    """

    def __init__(self, capacity: int = 0) -> None:
        """Start empty; `capacity` tokens are allocated at the first write, more when needed."""
        self.origin = self.first_token = 0
        self._capacity = capacity
        self._rings: dict[int, Tensor] = {}
        self._held: dict[int, int] = {}

    def read(self, layer: int, start: int, end: int) -> Tensor:
        """Return entries (N, end - start, G, 2*dh) of positions `start` to `end`; a view.

        Raises:
            ValueError: They are not all held.
        """
        held, first = self._held.get(layer, 0), self.first_token
        if not first <= start <= end <= first + held:
            raise ValueError(
                f"cache of layer {layer} holds tokens {first} to {first + held}, "
                f"{start} to {end} were asked for"
            )
        return self._rings[layer][:, start - first : end - first]

    def write(self, layer: int, position: int, keys: Tensor, values: Tensor) -> None:
        """Store keys and values (N, tokens, G, dh) from a position on, and nothing behind them.

        Raises:
            ValueError: That would leave a gap.
        """
        start = position - self.first_token
        if not 0 <= start <= self._held.get(layer, 0):
            raise ValueError(
                f"writing at token {start} of a cache that holds {self._held.get(layer, 0)} tokens"
            )
        end, width = start + keys.shape[1], keys.shape[-1]
        ring = self._room(layer, end, keys)
        ring[:, start:end, :, :width] = keys
        ring[:, start:end, :, width:] = values
        self._held[layer] = end

    def forget_before(self, token: int) -> None:
        """Let go of all tokens before position `token`."""
        count = token - self.first_token
        if count <= 0:
            return
        for layer, ring in self._rings.items():
            left = max(0, self._held[layer] - count)
            if left:
                ring[:, :left] = ring[:, count : count + left].clone()
            self._held[layer] = left
        self.first_token = token

    def move_origin(self, chunks: int, tokens: int, turn: Callable[[Tensor], Tensor]) -> None:
        """Count positions from `chunks` chunks of `tokens` tokens later; `turn` does so to keys."""
        for layer, ring in self._rings.items():
            held = ring[:, : self._held[layer]]
            held.copy_(turn(held))
        self.origin += chunks
        self.first_token -= chunks * tokens

    def entries(self) -> dict[int, Tensor]:
        """Copy what is held, by layer, for saving; `restore` takes it back."""
        return {layer: ring[:, : self._held[layer]].clone() for layer, ring in self._rings.items()}

    def restore(self, entries: dict[int, Tensor], origin: int, first_token: int) -> None:
        """Replace the content by saved entries that start at `first_token` behind `origin`."""
        self.origin, self.first_token = origin, first_token
        self._rings, self._held = {}, {}
        for layer, entry in entries.items():
            keys, values = entry.chunk(2, dim=-1)
            self._held[layer] = 0
            self.write(layer, first_token, keys, values)

    def _room(self, layer: int, tokens: int, like: Tensor) -> Tensor:
        """Return the ring of a layer with room for so many tokens."""
        ring = self._rings.get(layer)
        if ring is None or ring.shape[1] < tokens:
            samples, _, groups, width = like.shape
            held, old = self._held.get(layer, 0), ring
            ring = self._allocate(like, samples, max(tokens, self._capacity), groups, 2 * width)
            if old is not None:
                ring[:, :held] = old[:, :held]
            self._rings[layer] = ring
        return ring

    def _allocate(self, like: Tensor, *shape: int) -> Tensor:
        """Return room for a ring, beside `like` and in its dtype."""
        return like.new_empty(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Which tokens of a cache a forward looks at, and which of its own it leaves there.

    start, end: positions in front of the first token of the forward, which has position `end`.
    stored: how many of its first tokens are stored. samples: how many of its last samples.
    """

    cache: KVCache
    start: int
    end: int
    stored: int = 0
    samples: int | None = None

    @property
    def tokens(self) -> int:
        """How many tokens are looked at."""
        return self.end - self.start

    def join(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put what is looked at in front of keys and values (N, S, G, dh); store what is to be."""
        if self.stored:
            last = slice(None if self.samples is None else -self.samples, None)
            self.cache.write(
                layer, self.end, keys[last, : self.stored], values[last, : self.stored]
            )
        if not self.tokens:
            return keys, values
        entries = self.cache.read(layer, self.start, self.end)
        if len(entries) != len(keys):
            entries = entries.repeat(len(keys) // len(entries), 1, 1, 1)
        past_keys, past_values = entries.chunk(2, dim=-1)
        return torch.cat([past_keys, keys], dim=1), torch.cat([past_values, values], dim=1)
