"""Keys and values of the chunks a later forward may still look at."""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """Per layer one tensor (N, tokens, G, 2*dh): key after norm and rotary, then value.

    Token positions count from the video's first chunk. Tokens before `first_token` have been
    forgotten; what `read` returns starts there.
    """

    def __init__(self) -> None:
        self.first_token = 0
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

    def entries(self) -> dict[int, Tensor]:
        """What is held, by layer, for saving; `restore` takes it back."""
        return dict(self._entries)

    def restore(self, entries: dict[int, Tensor], first_token: int) -> None:
        """Replace the content by saved entries that start at `first_token`."""
        self._entries = dict(entries)
        self.first_token = first_token
