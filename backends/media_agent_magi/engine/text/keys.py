"""Captions as cross attention reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, eq=False)
class ChunkText:
    """What a chunk reads, projected; every layer makes its keys of it once, when it is there.

    text: (N, L', D) in the dtype of the body, cut to the longest caption; N is 1 where all samples
    read the same. mask: (N, L'), true where a token is real; None where all are.
    """

    text: Tensor
    mask: Tensor | None = None
    _keys: dict[int, Tensor] = field(default_factory=dict)

    def keys(self, layer: int, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Return key and value (N, L', G, 2*dh) of a layer, which makes them of the text."""
        kept = self._keys.get(layer)
        if kept is None:
            kept = make(self.text)
            if not torch.is_grad_enabled():
                self._keys[layer] = kept
        return kept

    def bias(self) -> Tensor | None:
        """Return what hides padding, (N, 1, 1, L'), to be added to the scores."""
        if self.mask is None:
            return None
        zeros = torch.zeros(self.mask.shape, dtype=self.text.dtype, device=self.mask.device)
        return zeros.masked_fill(~self.mask, -torch.inf)[:, None, None]


Text = tuple[ChunkText, ...]
"""What the chunks of a forward read, one entry each."""


def cut(text: Tensor, mask: Tensor) -> ChunkText:
    """Build from text (N, L, D) and mask (N, L): what no sample reads is left out."""
    real = mask.bool()
    longest = int(real.sum(-1).max())
    real = real[:, :longest]
    return ChunkText(text[:, :longest], None if bool(real.all()) else real)


def stack(texts: Sequence[ChunkText], samples: int) -> ChunkText:
    """Make samples of texts, one after the other, each of N = 1 repeated for `samples` samples."""
    longest = max(each.text.shape[1] for each in texts)
    parts, masks = [], []
    for each in texts:
        missing = longest - each.text.shape[1]
        real = each.text.new_ones(each.text.shape[:2], dtype=torch.bool)
        real = real if each.mask is None else each.mask
        parts.append(_spread(F.pad(each.text, (0, 0, 0, missing)), samples))
        masks.append(_spread(F.pad(real, (0, missing)), samples))
    mask = torch.cat(masks)
    return ChunkText(torch.cat(parts), None if bool(mask.all()) else mask)


def _spread(entry: Tensor, samples: int) -> Tensor:
    return entry.expand(samples, *entry.shape[1:])
