"""The block-causal video transformer of the MAGI-1 family.

One class for every size; a `ModelConfig` holds the numbers. Parameter names are those of the
released state dicts, so a checkpoint loads strictly. Source: MAGI-1 (arXiv 2505.13211); each choice
below is checked against golden data by `media_agent_magi.parity`.

Tensor letters: N samples, W chunks in the forward, C tokens of a chunk, S = W*C, D hidden size,
Hq query heads, G key/value groups, dh head width, L caption tokens.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.rope import default_bands, rotary_table
from media_agent_magi.engine.text.keys import TextKeys

JOIN_PIECES = 8
"""Self and cross results are interleaved in this many pieces, whatever the number of groups."""

SINUSOID_WIDTH = 256


def body_dtype(config: ModelConfig) -> torch.dtype:
    """Return the dtype of the transformer body; the other parts are always float32."""
    dtype: torch.dtype = getattr(torch, config.params_dtype)
    return dtype


def patch_shape(config: ModelConfig) -> tuple[int, int, int]:
    """Return the latent frames, rows and columns of one token."""
    return config.t_patch_size, config.patch_size, config.patch_size


class VideoDiT(nn.Module):
    """Predicts the velocity, noise to data, of consecutive chunks, each at its own timestep."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.hidden_size, patch_shape(config)
        self.x_embedder = nn.Conv3d(config.in_channels, width, patch, stride=patch, bias=False)
        self.t_embedder = TimestepEmbedder(int(width * config.cond_hidden_ratio))
        self.y_embedder = CaptionEmbedder(config)
        self.rope = LearnedBands(config.kv_channels // 8)
        self.videodit_blocks = BlockStack(config)
        self.final_linear = FinalLinear(width, math.prod(patch) * config.out_channels)

    def null_caption(self) -> Tensor:
        """Return the learned caption of "no text", (L, caption_channels)."""
        return self.y_embedder.null_caption_embedding

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        caption: Tensor,
        caption_mask: Tensor,
        *,
        kv_ranges: Sequence[tuple[int, int]],
        first_chunk: int = 0,
        drop_caption: bool | Tensor = False,
        step_size: float | None = None,
        cache: KVCache | None = None,
        write_cache: bool = False,
        cache_tokens_to_skip: int = 0,
    ) -> Tensor:
        """Return the velocity of every chunk in `x`, same shape as `x`, float32.

        Args:
            x: (N, latent channels, T, H, W) latents; T is W chunks of equal length.
            t: (N, W) timesteps, 0 = noise, 1 = clean.
            caption: (N*W, L, caption_channels) text rows, a row per chunk.
            caption_mask: (N*W, L), non-zero where a caption token is real.
            kv_ranges: per chunk the (start, end) of the keys it may read, in tokens counted from
                the first chunk of the video.
            first_chunk: index in the video of the first chunk in `x`.
            drop_caption: which learned row makes the global text vector: the last one where true,
                the one before where false. A bool, or a bool tensor (N,) or (N, W).
            step_size: the step-size number of distilled models, None for others.
            cache: keys and values of earlier chunks; needed when `first_chunk` > 0.
            write_cache: store the keys and values of this forward.
            cache_tokens_to_skip: how many tokens at the end are not stored.
        """
        chunks = t.shape[1]
        return self.run(
            x,
            self.condition(t, drop_caption, step_size),
            self.read(caption.unflatten(0, (-1, chunks)), caption_mask.unflatten(0, (-1, chunks))),
            self.rotary(self.grid(x), first_chunk, chunks),
            kv_ranges=kv_ranges,
            first_chunk=first_chunk,
            cache=cache,
            write_cache=write_cache,
            cache_tokens_to_skip=cache_tokens_to_skip,
        )

    def run(
        self,
        x: Tensor,
        condition: Tensor,
        text: TextKeys,
        rotary: Tensor,
        *,
        kv_ranges: Sequence[tuple[int, int]],
        first_chunk: int = 0,
        cache: KVCache | None = None,
        write_cache: bool = False,
        cache_tokens_to_skip: int = 0,
        cache_samples: int | None = None,
    ) -> Tensor:
        """Do what `forward` does with what `condition`, `read` and `rotary` have returned.

        Condition and text may have N = 1 where `x` has more samples. The cache may hold fewer
        samples than `x`, and is read for all in turn; the last `cache_samples` of `x` are stored.
        """
        grid, chunks = self.grid(x), condition.shape[1]
        tokens = self._embed(x)  # N S D
        attention = AttentionContext(
            kv_ranges=kv_ranges,
            first_token=first_chunk * (tokens.shape[1] // chunks),
            rotary=rotary,
            text=text,
            cache=cache,
            tokens_to_store=tokens.shape[1] - cache_tokens_to_skip if write_cache else 0,
            cache_samples=len(x) if cache_samples is None else cache_samples,
        )
        tokens = self.videodit_blocks(tokens, condition, attention)
        return self._unembed(self.final_linear(tokens), len(x), grid)

    def grid(self, x: Tensor) -> tuple[int, int, int]:
        """Return how many patches latents have along time, rows and columns."""
        t, rows, columns = (
            n // p for n, p in zip(x.shape[2:], patch_shape(self.config), strict=True)
        )
        return t, rows, columns

    def read(self, caption: Tensor, mask: Tensor) -> TextKeys:
        """Return what the blocks read of text rows (N, W, L, caption_channels), mask (N, W, L)."""
        text, mask = self.y_embedder.rows(caption, mask)
        text = text.to(body_dtype(self.config))
        blocks = (cast(Block, layer) for layer in self.videodit_blocks.layers)
        layers = tuple(block.self_attention.text_keys(text) for block in blocks)
        return TextKeys(layers, None if bool(mask.all()) else mask)

    def rotary(self, grid: tuple[int, int, int], first_chunk: int, chunks: int) -> Tensor:
        """Return the position table of `chunks` chunks that fill a grid, (S, 2 * 3 * bands)."""
        return rotary_table(self.rope.bands, first_chunk * (grid[0] // chunks), *grid)

    def condition(
        self, t: Tensor, drop_caption: bool | Tensor = False, step_size: float | None = None
    ) -> Tensor:
        """Return what gates each chunk, (N, W, D/4), of timesteps (N, W)."""
        body = body_dtype(self.config)
        embedding = self.t_embedder(t, body)  # N W D/4
        if step_size is not None:
            steps = torch.full_like(t[:1, :1], step_size)
            embedding = embedding + self.t_embedder(steps, body)
        drop = torch.as_tensor(drop_caption, device=t.device)
        drop = drop.reshape(drop.shape + (1,) * (2 - drop.dim())).expand(t.shape)
        return (embedding + self.y_embedder.global_vector(drop)).to(body)

    def _embed(self, x: Tensor) -> Tensor:
        x = x * self.config.x_rescale_factor
        if self.config.half_channel_vae:
            x = torch.cat([x, x], dim=1)
        weight = self.x_embedder.weight
        patches = unfold_patches(x, patch_shape(self.config))
        return F.linear(patches, weight.flatten(1)).to(body_dtype(self.config))

    def _unembed(self, out: Tensor, samples: int, grid: tuple[int, int, int]) -> Tensor:
        size_t, size = self.config.t_patch_size, self.config.patch_size
        out = out.view(samples, *grid, size_t, size, size, self.config.out_channels)
        out = out.permute(0, 7, 1, 4, 2, 5, 3, 6)  # N channels T pt h p w p
        out = out.reshape(
            samples,
            self.config.out_channels,
            grid[0] * size_t,
            grid[1] * size,
            grid[2] * size,
        )
        return out[:, : self.config.latent_channels] / self.config.x_rescale_factor


class AttentionContext:
    """What every block of one forward shares: ranges, rotary table, caption, cache."""

    def __init__(
        self,
        *,
        kv_ranges: Sequence[tuple[int, int]],
        first_token: int,
        rotary: Tensor,
        text: TextKeys,
        cache: KVCache | None,
        tokens_to_store: int,
        cache_samples: int,
    ) -> None:
        self.kv_ranges = kv_ranges
        self.first_token = first_token
        self.rotary = rotary
        self.text = text
        self.text_bias = text.bias()
        self.cache = cache
        self.tokens_to_store = tokens_to_store
        self.cache_samples = cache_samples

    def keys_values(self, layer: int, own: Tensor) -> tuple[Tensor, int]:
        """Join cached and own entries (N, tokens, G, 2*dh); return them and their first token."""
        base = min(start for start, _ in self.kv_ranges)
        if self.cache is None:
            return own, self.first_token
        if self.tokens_to_store:
            stored = own[-self.cache_samples :, : self.tokens_to_store]
            self.cache.write(layer, self.first_token, stored)
        if base >= self.first_token:
            return own, self.first_token
        past = self.cache.read(layer, self.first_token)
        if past is None:
            raise ValueError(f"chunk range starts at token {base}, which is not in the cache")
        past = past[:, base - self.cache.first_token :]
        if len(past) != len(own):
            past = past.repeat(len(own) // len(past), 1, 1, 1)
        return torch.cat([past, own], dim=1), base


class BlockStack(nn.Module):
    """All transformer blocks and the last norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.final_layernorm = Norm(config, config.hidden_size)

    def forward(self, tokens: Tensor, condition: Tensor, attention: AttentionContext) -> Tensor:
        """Return float32 features, (N, S, D)."""
        for layer in self.layers:
            tokens = layer(tokens, condition, attention)
        return self.final_layernorm(tokens.float())


class Block(nn.Module):
    """Self and cross attention side by side, then the MLP; each gated, normed, and added."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.ada_modulate_layer = Gates(
            int(width * config.cond_hidden_ratio), width, body_dtype(config)
        )
        self.self_attention = Attention(config, layer)
        self.self_attn_post_norm = Norm(config, width)
        self.mlp = MLP(config)
        self.mlp_post_norm = Norm(config, width)

    def forward(self, x: Tensor, condition: Tensor, attention: AttentionContext) -> Tensor:
        """Return the block's output, (N, S, D) in the body's dtype."""
        gate_attention, gate_mlp = self.ada_modulate_layer(condition)  # N W D each
        attended = gate_tokens(self.self_attention(x, attention), gate_attention)
        x = (x.float() + self.self_attn_post_norm(attended)).to(x.dtype)
        return (x.float() + self.mlp_post_norm(gate_tokens(self.mlp(x), gate_mlp))).to(x.dtype)


def gate_tokens(x: Tensor, gate: Tensor) -> Tensor:
    """Multiply every token (N, S, D) by the gate of its chunk (N, W, D), in float32."""
    x = x.float().unflatten(1, (gate.shape[1], -1))  # N W C D
    return (x * gate.float().unsqueeze(2)).flatten(1, 2)


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

    def forward(self, x: Tensor, context: AttentionContext) -> Tensor:
        """Return the projected sum of both attentions, (N, S, D), float32."""
        u = self.linear_qkv.layer_norm(x)
        joined = interleave(self._self(u, context), self._cross(u, context))
        if type(self.linear_proj) is not nn.Linear:
            return self.linear_proj(joined)
        return F.linear(joined.float(), self.linear_proj.weight.float())

    def _self(self, u: Tensor, context: AttentionContext) -> Tensor:
        q = self.linear_qkv.q(u).unflatten(-1, (self.heads, self.dh))  # N S Hq dh
        k = self.linear_qkv.k(u).unflatten(-1, (self.groups, self.dh))  # N S G dh
        v = self.linear_qkv.v(u).unflatten(-1, (self.groups, self.dh))
        q = apply_rotary(self.q_layernorm(q.float()), context.rotary).to(u.dtype)
        k = apply_rotary(self.k_layernorm(k.float()), context.rotary).to(u.dtype)
        entries, base = context.keys_values(self.layer, torch.cat([k, v], dim=-1))
        entries = entries.transpose(1, 2)  # N G tokens 2*dh
        results = []
        for queries, (start, end) in zip(
            q.transpose(1, 2).chunk(len(context.kv_ranges), dim=2), context.kv_ranges, strict=True
        ):
            k, v = entries[:, :, start - base : end - base].chunk(2, dim=-1)
            results.append(attend(queries, k, v))
        return torch.cat(results, dim=2).transpose(1, 2).flatten(2)  # N S Hq*dh

    def text_keys(self, text: Tensor) -> Tensor:
        """Return keys, normed, and values of projected captions (N, W, L', D) for `_cross`."""
        kv = self.linear_kv_xattn(text).unflatten(-1, (self.groups, 2 * self.dh))
        k, v = kv.chunk(2, dim=-1)
        return torch.cat([self.k_layernorm_xattn(k), v], dim=-1)

    def _cross(self, u: Tensor, context: AttentionContext) -> Tensor:
        text, bias = context.text.layers[self.layer], context.text_bias
        q = self.linear_qkv.qx(u).unflatten(-1, (self.heads, self.dh))
        q = self.q_layernorm_xattn(q).unflatten(1, (text.shape[1], -1)).flatten(0, 1)
        if len(text) != len(u):
            text = text.expand(len(u), *text.shape[1:])
            bias = None if bias is None else bias.repeat(len(u), 1, 1, 1)
        k, v = text.flatten(0, 1).transpose(1, 2).chunk(2, dim=-1)  # N*W G L' dh each
        out = attend(q.transpose(1, 2), k, v, bias)  # N*W Hq C dh
        return out.transpose(1, 2).flatten(2).view(u.shape[0], u.shape[1], -1)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention; q (N, Hq, S, dh), k and v (N, G, S', dh), bias added to the scores.

    While training the products are written out: the backward pass of the fused kernel takes about
    half of a whole training step on a CPU.
    """
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, enable_gqa=q.shape[1] != k.shape[1]
        )
    repeats = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1) @ v


def apply_rotary(x: Tensor, table: Tensor) -> Tensor:
    """Rotate the first 3/4 of the head channels of x (N, S, heads, dh), half-split pairs."""
    sin, cos = table[:, None, :].chunk(2, dim=-1)  # S 1 3*bands
    width = sin.shape[-1]
    a, b, rest = x.split([width, width, x.shape[-1] - 2 * width], dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Cut both (..., X) into eight pieces and alternate them, (..., 2*X)."""
    pieces = torch.stack(
        [first.unflatten(-1, (JOIN_PIECES, -1)), second.unflatten(-1, (JOIN_PIECES, -1))], dim=-2
    )
    return pieces.flatten(-3)


class Projections(nn.Module):
    """The input norm and the four projections that read it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, body = config.hidden_size, body_dtype(config)
        queries = config.num_attention_heads * config.kv_channels
        keys = config.num_query_groups * config.kv_channels
        self.layer_norm = nn.LayerNorm(width, config.layernorm_epsilon, dtype=body)
        self.q = nn.Linear(width, queries, bias=False, dtype=body)
        self.qx = nn.Linear(width, queries, bias=False, dtype=body)
        self.k = nn.Linear(width, keys, bias=False, dtype=body)
        self.v = nn.Linear(width, keys, bias=False, dtype=body)


class MLP(nn.Module):
    """Exact GELU, or SiLU of the first half times the second (gated)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, inner, body = config.hidden_size, config.ffn_hidden_size, body_dtype(config)
        self.gated = config.gated_linear_unit
        self.layer_norm = nn.LayerNorm(width, config.layernorm_epsilon, dtype=body)
        self.linear_fc1 = nn.Linear(width, inner * (2 if self.gated else 1), bias=False, dtype=body)
        self.linear_fc2 = nn.Linear(inner, width, bias=False, dtype=body)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, S, D) in the body's dtype."""
        hidden = self.linear_fc1(self.layer_norm(x))
        if self.gated:
            gate, value = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * value
        else:
            hidden = F.gelu(hidden)
        return self.linear_fc2(hidden)


class Gates(nn.Module):
    """Turn the condition of a chunk into its attention gate and its MLP gate."""

    def __init__(self, condition: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Linear(condition, 2 * width, dtype=dtype))

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return two gates (N, W, D), capped to (-1, 1) by a tanh in float32."""
        gates = torch.tanh(self.proj(F.silu(condition)).float()).to(condition.dtype)
        attention, mlp = gates.chunk(2, dim=-1)
        return attention, mlp


class Norm(nn.Module):
    """LayerNorm whose stored weight is used as 1 + weight, where the config says so."""

    def __init__(self, config: ModelConfig, width: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.eps = config.layernorm_epsilon
        self.offset = 1.0 if config.apply_layernorm_1p else 0.0
        self.weight = nn.Parameter(torch.full((width,), 1 - self.offset, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(width, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return F.layer_norm(x, self.weight.shape, self.weight + self.offset, self.bias, self.eps)


class TimestepEmbedder(nn.Module):
    """Sinusoid of 1000*t, then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(SINUSOID_WIDTH, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Tensor, body: torch.dtype) -> Tensor:
        """Embed (N, W) timesteps as (N, W, D/4); the sinusoid is rounded to `body` on the way."""
        half = SINUSOID_WIDTH // 2
        index = torch.arange(half, dtype=torch.float32, device=t.device)
        frequencies = torch.exp(-math.log(10000.0) * index / half)
        angles = (t.float()[..., None] * frequencies) * 1000
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(body)
        return self.mlp(waves.float())


class CaptionEmbedder(nn.Module):
    """Projects text rows for cross attention and makes the global text vector."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, width = config.caption_channels, config.hidden_size
        self.null_caption_embedding = nn.Parameter(torch.zeros(config.caption_max_length, channels))
        self.y_proj_xattn = nn.Sequential(
            nn.Linear(channels, int(width * config.xattn_cond_hidden_ratio)), nn.SiLU()
        )
        self.y_proj_adaln = nn.Sequential(
            nn.Linear(channels, int(width * config.cond_hidden_ratio))
        )

    def rows(self, caption: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Project (..., L, width) to (..., L', D), cut to the longest row; also cut the mask."""
        real = mask.bool()
        longest = int(real.sum(-1).max())
        return self.y_proj_xattn(caption[..., :longest, :].float()), real[..., :longest]

    def global_vector(self, drop: Tensor) -> Tensor:
        """Return the text vector of each chunk (N, W, D/4); it does not depend on the caption."""
        kept, dropped = self.y_proj_adaln(self.null_caption_embedding[-2:])
        return torch.where(drop[..., None], dropped, kept)


class LearnedBands(nn.Module):
    """The rotary frequencies, one learned vector for all three axes."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.bands = nn.Parameter(default_bands(bands))


class FinalLinear(nn.Module):
    """Maps features to the numbers of a patch: rows, columns, then channels fastest."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, S, patch numbers)."""
        return self.linear(x)


def unfold_patches(x: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """Cut (N, channels, T, H, W) into tokens, (N, S, channels * patch); time, row, column order."""
    n, channels, frames, rows, columns = x.shape
    pt, ph, pw = patch
    if frames % pt or rows % ph or columns % pw:
        raise ValueError(
            f"latent size {frames}x{rows}x{columns} is not a multiple of the patch {pt}x{ph}x{pw}"
        )
    x = x.view(n, channels, frames // pt, pt, rows // ph, ph, columns // pw, pw)
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)
