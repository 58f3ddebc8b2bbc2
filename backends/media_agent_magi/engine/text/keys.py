"""Captions as cross attention reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, eq=False)
class TextKeys:
    """What cross attention reads of captions, made once and used in every step.

    layers: by layer (N, W, L', G, 2*dh), key after norm, then value; L' is the longest caption.
    mask: (N, W, L'), true where a token is real; None where all are.
    """

    layers: tuple[Tensor, ...]
    mask: Tensor | None

    @classmethod
    def join(cls, texts: Sequence[Self], samples: int, *, axis: int = 1) -> Self:
        """Put texts of N = 1 or `samples` side by side, as chunks (axis 1) or samples (axis 0)."""
        longest = max(text.layers[0].shape[2] for text in texts)
        layers = tuple(
            torch.cat([_pad(entry, longest, samples, 2) for entry in entries], dim=axis)
            for entries in zip(*(text.layers for text in texts), strict=True)
        )
        masks = [_pad(text.real(), longest, samples, 0) for text in texts]
        mask = torch.cat(masks, dim=axis)
        full = all(text.mask is None and text.layers[0].shape[2] == longest for text in texts)
        return cls(layers, None if full else mask)

    def as_samples(self, repeats: int) -> Self:
        """Turn the W chunks of one sample into samples of one chunk, each `repeats` times."""
        *layers, mask = (
            x.transpose(0, 1).repeat_interleave(repeats, 0) for x in (*self.layers, self.real())
        )
        return type(self)(tuple(layers), None if self.mask is None else mask)

    def real(self) -> Tensor:
        """Return the mask, written out, (N, W, L')."""
        if self.mask is not None:
            return self.mask
        first = self.layers[0]
        return torch.ones(first.shape[:3], dtype=torch.bool, device=first.device)

    def bias(self) -> Tensor | None:
        """Return what hides padding from N*W chunks, (N*W, 1, 1, L'), in the dtype of the keys."""
        if self.mask is None:
            return None
        zeros = torch.zeros(self.mask.shape, dtype=self.layers[0].dtype, device=self.mask.device)
        return zeros.masked_fill(~self.mask, -torch.inf).flatten(0, 1)[:, None, None]


def _pad(entry: Tensor, length: int, samples: int, inner: int) -> Tensor:
    """Pad (N, W, L', *inner axes) to `length` with zeros and repeat it for all samples."""
    padded = F.pad(entry, (0, 0) * inner + (0, length - entry.shape[2]))
    return padded.expand(samples, *padded.shape[1:])
