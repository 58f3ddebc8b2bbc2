"""Keys and values of the chunks a later forward may still look at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class KVCache:
    """Per layer one tensor (N, tokens, G, 2*dh): key after norm and rotary, then value.

    Token positions count from chunk `origin`, which follows a long video, so that positions stay
    small and exact. Tokens before `first_token` have been forgotten; what `read` returns starts
    there. Entries are replaced, never written to.
    """

    def __init__(self) -> None:
        self.origin = self.first_token = 0
        self._entries: dict[int, Tensor] = {}

    def read(self, layer: int, tokens: int) -> Tensor | None:
        """Entries (N, tokens - first_token, G, 2*dh) before position `tokens`; None if none is.

        Raises ValueError when fewer are held than asked for.
        """
        wanted = tokens - self.first_token
        if wanted <= 0:
            return None
        entry = self._entries.get(layer)
        held = 0 if entry is None else entry.shape[1]
        if entry is None or held < wanted:
            raise ValueError(f"cache of layer {layer} holds {held} tokens, {wanted} were asked for")
        return entry[:, :wanted]

    def write(self, layer: int, first_token: int, entry: Tensor) -> None:
        """Store `entry` (N, tokens, G, 2*dh) from position `first_token` on.

        What lay behind that position is replaced. Raises ValueError when it leaves a gap.
        """
        start = first_token - self.first_token
        old = self._entries.get(layer)
        held = 0 if old is None else old.shape[1]
        if not 0 <= start <= held:
            raise ValueError(f"writing at token {start} of a cache that holds {held} tokens")
        kept = [old[:, :start]] if old is not None and start > 0 else []
        self._entries[layer] = torch.cat([*kept, entry.detach()], dim=1)

    def forget_before(self, token: int) -> None:
        """Let go of all tokens before position `token`."""
        count = token - self.first_token
        if count <= 0:
            return
        self._entries = {i: e[:, count:].clone() for i, e in self._entries.items()}
        self.first_token = token

    def move_origin(self, chunks: int, tokens: int, turn: Callable[[Tensor], Tensor]) -> None:
        """Count positions from `chunks` chunks of `tokens` tokens later; `turn` does so to keys."""
        self._entries = {i: turn(e) for i, e in self._entries.items()}
        self.origin += chunks
        self.first_token -= chunks * tokens

    def entries(self) -> dict[int, Tensor]:
        """What is held, by layer, for saving; `restore` takes it back."""
        return dict(self._entries)

    def restore(self, entries: dict[int, Tensor], origin: int, first_token: int) -> None:
        """Replace the content by saved entries that start at `first_token` behind `origin`."""
        self._entries = dict(entries)
        self.origin, self.first_token = origin, first_token
