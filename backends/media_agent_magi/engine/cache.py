"""Keys and values of the chunks a later forward may still look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class KVCache:
    """A ring: per layer one tensor (N, capacity, G, 2*dh), key after norm and rotary, then value.

    It is written in place. What is forgotten makes room at its end, so that what is held lies in
    one piece and in order; the first `sink` tokens are never forgotten. Token positions count from
    chunk `origin`, which follows a long video, so that they stay small and exact. The ring begins
    with token `start`; tokens from behind the sink to `first_token` have been forgotten.
    """

    def __init__(self, capacity: int = 0, *, sink: int = 0) -> None:
        """Start empty; `capacity` tokens are allocated at the first write, more when needed."""
        self.origin = self.start = 0
        self.sink = sink
        self._forgotten = 0
        self._capacity = capacity
        self._rings: dict[int, Tensor] = {}
        self._held: dict[int, int] = {}

    def expect(self, capacity: int, *, sink: int) -> None:
        """Hear how many tokens there will be, before anything is written; later do nothing."""
        self._capacity = max(capacity, self._capacity)
        if not self._rings:
            self.sink = sink

    @property
    def first_token(self) -> int:
        """The first token that is not forgotten, but for the sink."""
        return self.start + self.sink + self._forgotten

    def slot(self, position: int) -> int:
        """Return how many tokens are held before a position, where it is held itself."""
        place = position - self.start
        return place if place < self.sink else place - self._forgotten

    def read(self, layer: int, start: int, end: int) -> Tensor:
        """Return entries (N, end - start, G, 2*dh) of positions `start` to `end`; a view.

        Raises:
            ValueError: They are not all held.
        """
        held, (first, last) = self._held.get(layer, 0), (self.slot(start), self.slot(end))
        if not 0 <= first <= last <= held or last - first != end - start:
            begin = self.start if self.sink else self.first_token
            raise ValueError(
                f"cache of layer {layer} holds tokens {begin} to {begin + held}, "
                f"{start} to {end} were asked for"
            )
        return self._rings[layer][:, first:last]

    def write(self, layer: int, position: int, keys: Tensor, values: Tensor) -> None:
        """Store keys and values (N, tokens, G, dh) from a position on, and nothing behind them.

        Raises:
            ValueError: That would leave a gap.
        """
        self.pass_through(layer, position, keys, values, keys.shape[1])

    def pass_through(
        self, layer: int, position: int, keys: Tensor, values: Tensor, stored: int
    ) -> Tensor:
        """Write as `write` does, but hold the first `stored` tokens only.

        Returns all that is held before them, and them, (N, tokens, G, 2*dh); a view that the next
        write may change.

        Raises:
            ValueError: That would leave a gap.
        """
        start = self.slot(position)
        if not 0 <= start <= self._held.get(layer, 0):
            raise ValueError(
                f"writing at token {start} of a cache that holds {self._held.get(layer, 0)} tokens"
            )
        end, width = start + keys.shape[1], keys.shape[-1]
        ring = self._room(layer, end, keys)
        ring[:, start:end, :, :width] = keys
        ring[:, start:end, :, width:] = values
        self._held[layer] = start + stored
        return ring[:, :end]

    def forget_before(self, token: int) -> None:
        """Let go of all tokens before position `token`, but for the sink."""
        count = token - self.first_token
        if count <= 0:
            return
        sink = self.sink
        for layer, ring in self._rings.items():
            held = self._held[layer]
            left = max(0, held - sink - count)
            if left:
                first = sink + count
                ring[:, sink : sink + left] = ring[:, first : first + left].clone()
            self._held[layer] = min(held, sink) + left
        self._forgotten += count

    def restart(self, token: int) -> None:
        """Forget everything, and begin with position `token`, which begins the sink too."""
        self.start, self._forgotten = token, 0
        self._held = dict.fromkeys(self._held, 0)

    def move_origin(self, chunks: int, tokens: int, turn: Callable[[Tensor], Tensor]) -> None:
        """Count positions from `chunks` chunks of `tokens` tokens later; `turn` does so to keys."""
        for layer, ring in self._rings.items():
            held = ring[:, : self._held[layer]]
            held.copy_(turn(held))
        self.origin += chunks
        self.start -= chunks * tokens

    def entries(self) -> dict[int, Tensor]:
        """Return what is held, by layer; views that the next write may change."""
        return {layer: ring[:, : self._held[layer]] for layer, ring in self._rings.items()}

    def restore(
        self,
        entries: dict[int, Tensor],
        origin: int,
        first_token: int,
        sink: tuple[int, int] | None = None,
        *,
        place: tuple[torch.device, torch.dtype] | None = None,
    ) -> None:
        """Replace the content by saved entries that start at `first_token` behind `origin`.

        With a sink they start with that: its first token, and how many it has. They are copied
        into a ring of the device and dtype of `place`; of their own if it is not given.
        """
        self.origin = origin
        self.start, self.sink = (first_token, 0) if sink is None else sink
        self._forgotten = first_token - self.sink - self.start
        self._rings, self._held = {}, {}
        for layer, saved in entries.items():
            device, dtype = (saved.device, saved.dtype) if place is None else place
            samples, tokens, groups, width = saved.shape
            like = saved.new_empty((samples, 0, groups, width // 2), dtype=dtype, device=device)
            self._room(layer, tokens, like)[:, :tokens] = saved
            self._held[layer] = tokens

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

    def pass_through(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write all keys and values (N, S, G, dh) into the cache; hold what is to be stored.

        Returns those of all that the cache holds before them, and them.
        """
        entries = self.cache.pass_through(layer, self.end, keys, values, self.stored)
        past_keys, past_values = entries.chunk(2, dim=-1)
        return past_keys, past_values
