"""A block of the causal transformer: attention to what is seen, to the text, then the MLP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.blocks.kernels import HALF, MOST_SCORES, Kernel, multiplies_bfloat16
from media_agent_magi.engine.cache import Past
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.rope import rotate
from media_agent_magi.engine.text.keys import Text

Pieces = Sequence[tuple[int, int]]
"""Ranges of tokens, one after the other."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What every block of one forward shares.

    tokens: of each part of the forward. ranges: per part the keys it attends to, the own ones last,
    counted from the first token that is held. rotary: cosines and sines of the tokens; with
    `by_slot` of the places from the first on, by which a part counts what it sees.
    """

    tokens: Sequence[int]
    ranges: Sequence[Pieces]
    rotary: Tensor
    text: Text
    kernel: Kernel
    past: Past | None = None
    by_slot: bool = False


class Linear(nn.Linear):
    """A product that is rounded once."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the product, in the dtype of `x`."""
        return product(x, self.weight, self.bias)


class RMSNorm(nn.Module):
    """RMS norm over all numbers of a token; rounded before its weight is applied."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis, in float32."""
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, True) + self.eps)).to(x) * self.weight


class Attention(nn.Module):
    """Projections of queries, keys and values, with norms over the whole width."""

    def __init__(self, config: WanConfig, layer: int) -> None:
        super().__init__()
        width = config.dim
        self.layer, self.heads = layer, config.num_heads
        self.q = Linear(width, width)
        self.k = Linear(width, width)
        self.v = Linear(width, width)
        self.o = Linear(width, width)
        self.norm_q = RMSNorm(width, config.eps)
        self.norm_k = RMSNorm(width, config.eps)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))  # N S heads dh


class SelfAttention(Attention):
    """Attention to the frames that are seen."""

    def forward(self, u: Tensor, seen: Seen) -> Tensor:
        """Return what is added to the tokens, (N, S, D), before its gate."""
        projected = self.norm_q(self.q(u)), self.norm_k(self.k(u)), self.v(u)
        q, k, v = (self._split(each) for each in projected)
        if not seen.by_slot:
            q, k = rotate(q, seen.rotary), rotate(k, seen.rotary)
        if seen.past is not None:
            k, v = seen.past.pass_through(self.layer, k, v)
        results = []
        for part, pieces in zip(q.split(list(seen.tokens), dim=1), seen.ranges, strict=True):
            keys, values = _gather(k, pieces), _gather(v, pieces)
            if seen.by_slot:
                part = rotate(part, seen.rotary[:, keys.shape[1] - part.shape[1] : keys.shape[1]])
                keys = rotate(keys, seen.rotary[:, : keys.shape[1]])
            part, keys, values = (each.transpose(1, 2) for each in (part, keys, values))
            seen_by_part = seen.kernel(part, keys, values, None)  # N heads S dh
            results.append(seen_by_part.transpose(1, 2).flatten(2))
        return self.o(torch.cat(results, dim=1))


class CrossAttention(Attention):
    """Attention to all rows of the text, those behind its end too."""

    def forward(self, u: Tensor, seen: Seen) -> Tensor:
        """Return what is added to the tokens, (N, S, D)."""
        q = self._split(self.norm_q(self.q(u))).transpose(1, 2)
        results, first, tokens = [], 0, iter(seen.tokens)
        for text, run in groupby(seen.text):  # parts that read the same need one product
            end = first + sum(next(tokens) for _ in run)
            keys = text.keys(self.layer, self.text_keys)
            keys = keys.expand(len(q), *keys.shape[1:])
            k, v = keys.transpose(1, 2).chunk(2, dim=-1)  # N heads L dh
            results.append(seen.kernel(q[:, :, first:end], k, v, None).transpose(1, 2))
            first = end
        return self.o(torch.cat(results, dim=1).flatten(2))

    def text_keys(self, text: Tensor) -> Tensor:
        """Return keys, normed, and values (N, L, heads, 2*dh) of an embedded text (N, L, D)."""
        k, v = self._split(self.norm_k(self.k(text))), self._split(self.v(text))
        return torch.cat([k, v], dim=-1)


class WanBlock(nn.Module):
    """One block; six rows of its modulation, by frame: shift, scale and gate, twice."""

    def __init__(self, config: WanConfig, layer: int) -> None:
        super().__init__()
        width = config.dim
        self.norm1 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.self_attn = SelfAttention(config, layer)
        self.norm3 = nn.LayerNorm(width, config.eps)
        self.cross_attn = CrossAttention(config, layer)
        self.norm2 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            Linear(width, config.ffn_dim),
            nn.GELU(approximate="tanh"),
            Linear(config.ffn_dim, width),
        )
        self.modulation = nn.Parameter(torch.zeros(1, 6, width))

    def forward(self, x: Tensor, projected: Tensor, seen: Seen) -> Tensor:
        """Return the block's output, (N, S, D), of tokens and the time, (N, F, 6, D)."""
        rows = (self.modulation[:, None] + projected).unbind(2)  # each N F D
        shift1, scale1, gate1, shift2, scale2, gate2 = rows
        x = x + gated(self.self_attn(modulated(self.norm1(x), shift1, scale1), seen), gate1)
        x = x + self.cross_attn(self.norm3(x), seen)
        return x + gated(self.ffn(modulated(self.norm2(x), shift2, scale2)), gate2)


class Head(nn.Module):
    """The last norm and projection, modulated by the embedded time itself."""

    def __init__(self, config: WanConfig, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.head = Linear(config.dim, out)
        self.modulation = nn.Parameter(torch.zeros(1, 2, config.dim))

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """Return the numbers of each patch, (N, S, out), of tokens and the time (N, F, D)."""
        shift, scale = (self.modulation[:, None] + embedded[:, :, None]).unbind(2)
        return self.head(modulated(self.norm(x), shift, scale))


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiply (..., in) by weights (out, in) and round once.

    A CPU that does not multiply bfloat16 itself does so in float32: to the bit as the reference, as
    long as all products of a call fit into a small piece of memory.
    """
    if not (x.is_cpu and x.dtype in HALF) or multiplies_bfloat16():
        return F.linear(x, weight, bias)
    wide, rows = x.float(), weight.float()
    if 4 * x.shape[:-1].numel() * weight.numel() <= MOST_SCORES:
        summed = (wide[..., None, :] * rows).sum(-1) + bias.float()
    else:
        summed = F.linear(wide, rows, bias.float())
    return summed.to(x.dtype)


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift tokens (N, S, D) by rows of their frames (N, F, D)."""
    by_frame = x.unflatten(1, (shift.shape[1], -1))  # N F L D
    return (by_frame * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """Multiply tokens (N, S, D) by rows of their frames (N, F, D)."""
    return (x.unflatten(1, (gate.shape[1], -1)) * gate[:, :, None]).flatten(1, 2)


def _gather(x: Tensor, pieces: Pieces) -> Tensor:
    """Return ranges of tokens of (N, S, heads, dh), a view where it is one."""
    parts = [x[:, start:end] for start, end in pieces]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
