"""Attention to the visible chunks and to the chunk's own caption, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.blocks.kernels import HALF, Kernel
from media_agent_magi.engine.blocks.layers import Norm, body_dtype
from media_agent_magi.engine.cache import Past
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.rope import turned
from media_agent_magi.engine.text.keys import ChunkText, Text

JOIN_PIECES = 8
"""Self and cross results are interleaved in this many pieces, whatever the number of groups."""


@dataclass(frozen=True, slots=True, eq=False)
class AttentionContext:
    """What every block of one forward shares.

    ranges: per chunk the keys it attends to, counted from the first that is looked at. turning:
    what `turned` rotates heads with. reads: what consecutive chunks read, what hides its padding,
    and how many they are.
    """

    ranges: Sequence[tuple[int, int]]
    turning: tuple[Tensor, Tensor]
    reads: Sequence[tuple[ChunkText, Tensor | None, int]]
    kernel: Kernel
    past: Past | None = None


def count_reads(text: Text) -> tuple[tuple[ChunkText, Tensor | None, int], ...]:
    """Join chunks that read the same, for one product does them all."""
    return tuple((each, each.bias(), len(tuple(run))) for each, run in groupby(text))


class Attention(nn.Module):
    """Attention to the visible chunks and to the chunk's own caption, from one normalised input."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        width, dh, body = config.hidden_size, config.kv_channels, body_dtype(config)
        self.layer = layer
        self.heads, self.groups, self.dh = (
            config.num_attention_heads,
            config.num_query_groups,
            dh,
        )
        self.linear_qkv = Projections(config)
        text_width = int(width * config.xattn_cond_hidden_ratio)
        self.linear_kv_xattn = nn.Linear(text_width, 2 * self.groups * dh, bias=False, dtype=body)
        self.linear_proj = nn.Linear(2 * self.heads * dh, width, bias=False, dtype=body)
        self.q_layernorm = Norm(config, dh)
        self.k_layernorm = Norm(config, dh)
        self.q_layernorm_xattn = Norm(config, dh, dtype=body)
        self.k_layernorm_xattn = Norm(config, dh, dtype=body)
        self.rotated = rotated
        self.side_by_side = False
        self.register_buffer("wide", None, persistent=False)

    def prepare(self) -> None:
        """Lay the weights out for inference."""
        self.linear_qkv.prepare()
        if type(self.linear_proj) is nn.Linear:
            weight = self.linear_proj.weight.data
            is_wide = weight.device.type == "cpu" and weight.dtype in HALF
            self.wide = weight.float() if is_wide else None
        if self.q_layernorm.weight.is_cuda:
            self.put_side_by_side()

    def put_side_by_side(self) -> None:
        """Order the columns of the last projection, so that its inputs need no interleaving.

        The same products are added up in another order then.
        """
        if type(self.linear_proj) is nn.Linear and not self.side_by_side:
            weight = self.linear_proj.weight.data
            order = interleave(*torch.arange(weight.shape[1], device=weight.device).chunk(2))
            self.linear_proj.weight.data = weight[:, order.argsort()].contiguous()
            self.side_by_side = True

    def forward(self, x: Tensor, context: AttentionContext) -> Tensor:
        """Return the projected sum of both attentions, (N, S, D), float32."""
        q, qx, k, v = self.linear_qkv(self.linear_qkv.layer_norm(x))
        q = self.rotated(self.heads_of(q), self.q_layernorm, context.turning)
        k = self.rotated(self.heads_of(k), self.k_layernorm, context.turning)
        qx = self.q_layernorm_xattn(self.heads_of(qx))
        joined = self.attend(q, qx, k, self.heads_of(v), context)
        if type(self.linear_proj) is not nn.Linear:
            return self.linear_proj(joined)
        if self.wide is not None:
            return F.linear(joined.float(), self.wide)
        return linear_in_float32(joined, self.linear_proj.weight)

    def heads_of(self, x: Tensor) -> Tensor:
        """Cut (N, S, heads*dh) into heads, (N, S, heads, dh)."""
        return x.view(*x.shape[:2], -1, self.dh)

    def attend(
        self, q: Tensor, qx: Tensor, k: Tensor, v: Tensor, context: AttentionContext
    ) -> Tensor:
        """Return both attentions, (N, S, 2*Hq*dh), of heads (N, S, heads, dh), normed and turned.

        Stores in the past what is to be stored.
        """
        if context.past is not None:
            k, v = context.past.join(self.layer, k, v)
        seen, read = self._self(q, k, v, context), self._cross(qx, context)
        return torch.cat([seen, read], dim=-1) if self.side_by_side else interleave(seen, read)

    def _self(self, q: Tensor, k: Tensor, v: Tensor, context: AttentionContext) -> Tensor:
        k, v = k.transpose(1, 2), v.transpose(1, 2)  # N G tokens dh
        queries = q.transpose(1, 2).chunk(len(context.ranges), dim=2)
        results = [
            context.kernel(part, k[:, :, start:end], v[:, :, start:end], None)
            for part, (start, end) in zip(queries, context.ranges, strict=True)
        ]
        return join_chunks(results)

    def text_keys(self, text: Tensor) -> Tensor:
        """Return keys, normed, and values (N, L', G, 2*dh) of projected captions (N, L', D)."""
        kv = self.linear_kv_xattn(text).unflatten(-1, (self.groups, 2 * self.dh))
        k, v = kv.chunk(2, dim=-1)
        return torch.cat([self.k_layernorm_xattn(k), v], dim=-1)

    def _cross(self, q: Tensor, context: AttentionContext) -> Tensor:
        q, samples = q.transpose(1, 2), len(q)
        each = q.shape[2] // len(context.ranges)
        results, first = [], 0
        for text, bias, chunks in context.reads:
            end = first + chunks * each
            keys = text.keys(self.layer, self.text_keys).expand(samples, -1, -1, -1)
            bias = None if bias is None else bias.expand(samples, -1, -1, -1)
            k, v = keys.transpose(1, 2).chunk(2, dim=-1)  # N G L' dh
            results.append(context.kernel(q[:, :, first:end], k, v, bias))
            first = end
        return join_chunks(results)


class Projections(nn.Module):
    """The input norm and the four projections that read it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, body = config.hidden_size, body_dtype(config)
        queries = config.num_attention_heads * config.kv_channels
        keys = config.num_query_groups * config.kv_channels
        self.sizes = (queries, queries, keys, keys)
        self.layer_norm = nn.LayerNorm(width, config.layernorm_epsilon, dtype=body)
        self.q = nn.Linear(width, queries, bias=False, dtype=body)
        self.qx = nn.Linear(width, queries, bias=False, dtype=body)
        self.k = nn.Linear(width, keys, bias=False, dtype=body)
        self.v = nn.Linear(width, keys, bias=False, dtype=body)
        self.register_buffer("together", None, persistent=False)

    def prepare(self) -> None:
        """Let one product do the four: their weights become parts of one tensor."""
        parts = (self.q, self.qx, self.k, self.v)
        if any(type(part) is not nn.Linear for part in parts):
            return
        together = torch.cat([part.weight.data for part in parts])
        for part, weight in zip(parts, together.split(self.sizes), strict=True):
            part.weight.data = weight
        self.together = together

    def forward(self, u: Tensor) -> tuple[Tensor, ...]:
        """Return q, qx (N, S, Hq*dh), k and v (N, S, G*dh) of what the norm returned."""
        if self.together is None:
            return self.q(u), self.qx(u), self.k(u), self.v(u)
        return F.linear(u, self.together).split(self.sizes, dim=-1)


def linear_in_float32(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply in the dtype of both, add up and keep the sum in float32."""
    if x.dtype == torch.float32:
        return F.linear(x, weight)
    if x.is_cuda:
        flat = torch.mm(x.flatten(0, -2), weight.t(), out_dtype=torch.float32)
        return flat.unflatten(0, x.shape[:-1])
    return F.linear(x.float(), weight.float())


def rotated(x: Tensor, norm: Callable[[Tensor], Tensor], turning: tuple[Tensor, Tensor]) -> Tensor:
    """Norm and rotate heads (N, S, heads, dh) in float32, and return to their dtype."""
    return turned(norm(x.float()), turning).to(x.dtype)


def join_chunks(results: Sequence[Tensor]) -> Tensor:
    """Put what attention returns, (N, Hq, tokens, dh) each, in a row: (N, S, Hq*dh)."""
    parts = [each.transpose(1, 2) for each in results]
    return (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]).flatten(2)


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Cut both (..., X) into eight pieces and alternate them, (..., 2*X)."""
    pieces = [each.view(*each.shape[:-1], JOIN_PIECES, -1) for each in (first, second)]
    return torch.cat(pieces, dim=-1).flatten(-2)
