"""The block-causal video transformer of the MAGI-1 family.

One class for every size; a `ModelConfig` holds the numbers. Parameter names are those of the
released state dicts, so a checkpoint loads strictly. Source: MAGI-1 (arXiv 2505.13211); each choice
below is checked against golden data by `media_agent_magi.parity`.

Tensor letters: N samples, W chunks in the forward, C tokens of a chunk, S = W*C, D hidden size,
Hq query heads, G key/value groups, dh head width, L caption tokens.
"""

import math
from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.blocks.attention import Attention, AttentionContext, count_reads
from media_agent_magi.engine.blocks.kernels import Kernel, kernel_for, rounded_once
from media_agent_magi.engine.blocks.layers import (
    MLP,
    CaptionEmbedder,
    FinalLinear,
    Gates,
    LearnedBands,
    Norm,
    TimestepEmbedder,
    body_dtype,
    gated_sum,
)
from media_agent_magi.engine.cache import KVCache, Past
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.rope import rotary_table, turn_back, turning_of
from media_agent_magi.engine.text.keys import ChunkText, Text, cut


def patch_shape(config: ModelConfig) -> tuple[int, int, int]:
    """Return the latent frames, rows and columns of one token."""
    return config.t_patch_size, config.patch_size, config.patch_size


class VideoDiT(nn.Module):
    """Predicts the velocity, noise to data, of consecutive chunks, each at its own timestep."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.kernel: Kernel = rounded_once
        width, patch = config.hidden_size, patch_shape(config)
        self.x_embedder = nn.Conv3d(config.in_channels, width, patch, stride=patch, bias=False)
        self.t_embedder = TimestepEmbedder(int(width * config.cond_hidden_ratio))
        self.y_embedder = CaptionEmbedder(config)
        self.rope = LearnedBands(config.kv_channels // 8)
        self.videodit_blocks = BlockStack(config)
        self.final_linear = FinalLinear(width, math.prod(patch) * config.out_channels)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.y_embedder.null_caption_embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """What its blocks compute in."""
        return body_dtype(self.config)

    def null_caption(self) -> Tensor:
        """Return the learned caption of "no text", (L, caption_channels)."""
        return self.y_embedder.null_caption_embedding

    def prepare(self) -> Self:
        """Lay the weights out for inference where they are; again if they move or change.

        Names and numbers stay, but on CUDA the columns of `linear_proj` change places.
        """
        self.kernel = kernel_for(self.null_caption().device)
        for module in self.modules():
            if isinstance(module, Norm | Attention):
                module.prepare()
        return self

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
        kernel: Kernel | None = None,
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
            kernel: what computes attention; the model's own if not given.
        """
        chunks, tokens = t.shape[1], math.prod(self.grid(x))
        first = first_chunk * (tokens // chunks)
        start, past = min(first, *(start for start, _ in kv_ranges)), None
        if cache is not None:
            stored = tokens - cache_tokens_to_skip if write_cache else 0
            past = Past(cache, start, first, stored)
        elif start < first:
            raise ValueError(f"chunk range starts at token {start}, and there is no cache")
        captions, masks = (
            caption.unflatten(0, (-1, chunks)),
            caption_mask.unflatten(0, (-1, chunks)),
        )
        return self.run(
            x,
            self.condition(t, drop_caption, step_size),
            tuple(self.read(captions[:, c], masks[:, c]) for c in range(chunks)),
            self.rotary(self.grid(x), first_chunk, chunks),
            ranges=[(a - start, b - start) for a, b in kv_ranges],
            past=past,
            kernel=kernel,
        )

    def run(
        self,
        x: Tensor,
        condition: Tensor,
        text: Text,
        rotary: Tensor,
        *,
        ranges: Sequence[tuple[int, int]],
        past: Past | None = None,
        kernel: Kernel | None = None,
    ) -> Tensor:
        """Do what `forward` does with what `condition`, `read` and `rotary` have returned.

        Condition and text may have N = 1 where `x` has more samples. The past may hold fewer
        samples than `x`, and is read for all in turn.

        Args:
            x: as in `forward`.
            condition: what gates each chunk.
            text: what each chunk reads.
            rotary: where the tokens are.
            ranges: per chunk the keys it attends to, counted from the first token of `past`.
            past: which earlier tokens are looked at, and what is stored; none if not given.
            kernel: as in `forward`.
        """
        grid = self.grid(x)
        own, other = rotary.unsqueeze(2).unbind(1)  # S 1 dh each
        attention = AttentionContext(
            ranges, (own, other), count_reads(text), kernel or self.kernel, past
        )
        tokens = self.videodit_blocks(self._embed(x), condition, attention)  # N S D
        return self._unembed(self.final_linear(tokens), len(x), grid)

    def grid(self, x: Tensor) -> tuple[int, int, int]:
        """Return how many patches latents have along time, rows and columns."""
        t, rows, columns = (
            n // p for n, p in zip(x.shape[2:], patch_shape(self.config), strict=True)
        )
        return t, rows, columns

    def read(self, caption: Tensor, mask: Tensor) -> ChunkText:
        """Return what blocks read of the captions of a chunk (N, L, channels), mask (N, L).

        Their keys are made by the blocks when they run, so that a block need not be there before.
        """
        kept = cut(caption, mask)
        text = self.y_embedder.project(kept.text).to(body_dtype(self.config))
        return ChunkText(text, kept.mask)

    def rotary(self, grid: tuple[int, int, int], first_chunk: int, chunks: int) -> Tensor:
        """Return the position table of `chunks` chunks that fill a grid, (S, 2, dh)."""
        table = rotary_table(self.rope.bands, first_chunk * (grid[0] // chunks), *grid)
        return turning_of(table, self.config.kv_channels)

    def turn_back(self, keys: Tensor, patches: int) -> Tensor:
        """Return keys as if the video had started so many patches of time later."""
        return turn_back(keys, self.rope.bands, patches)

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
        self.gated_sum: Callable[[Tensor, Tensor, Tensor, Norm], Tensor] = gated_sum
        self.lean: Callable[[Tensor, Tensor, AttentionContext], Tensor] | None = None

    def forward(self, x: Tensor, condition: Tensor, attention: AttentionContext) -> Tensor:
        """Return the block's output, (N, S, D) in the body's dtype."""
        if self.lean is not None and not torch.is_grad_enabled():
            return self.lean(x, condition, attention)
        gate_attention, gate_mlp = self.ada_modulate_layer(condition)  # N W D each
        attended = self.self_attention(x, attention)
        x = self.gated_sum(x, attended, gate_attention, self.self_attn_post_norm)
        return self.gated_sum(x, self.mlp(x), gate_mlp, self.mlp_post_norm)


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
