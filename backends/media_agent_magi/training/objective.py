"""Flow matching on the windows that sampling runs."""

import random

import torch
from torch import Tensor

from media_agent_magi.engine.blocks.kernels import written_out
from media_agent_magi.engine.stepper import TRANSFORMS
from media_agent_magi.tiny.config import SAMPLER
from media_agent_magi.tiny.model import TinyModel
from media_agent_magi.training.layouts import LAYOUTS, Layout

TEXT_DROPOUT = 0.1
"""Share of clips trained without any text: the history-only forward of guidance."""
RESTYLE_FROM = (0.2, 0.8)
"""Between these t a chunk sets out from its twin: restyling of strength 0.8 to 0.2."""
HISTORY_NOISE = 0.15
"""Finished chunks are trained at t from 1 - this to 1, and the model is told."""


def draw_layout(rng: random.Random) -> Layout:
    """Pick a layout by its weight."""
    return rng.choices(LAYOUTS, [layout.weight for layout in LAYOUTS])[0]


def draw_timesteps(layout: Layout, batch: int, generator: torch.Generator) -> Tensor:
    """Return t of every slot (B, W): one phase for all chunks of a window, as in sampling."""
    device = generator.device
    ages, starts = layout.ages(), layout.starts()
    schedule = TRANSFORMS[SAMPLER.transform]
    phase = torch.rand(batch, len(ages), generator=generator, device=device)
    history = 1 - HISTORY_NOISE * torch.rand(batch, len(ages), generator=generator, device=device)
    columns = []
    for slot, age in enumerate(ages):
        if not starts[slot]:
            phase[:, slot] = phase[:, slot - 1]
        u = ((0 if age is None else age) + phase[:, slot]) / SAMPLER.window_size
        columns.append(history[:, slot] if age is None else schedule(u, SAMPLER.shift))
    return torch.stack(columns, dim=1)


def loss(
    model: TinyModel,
    latents: Tensor,
    words: Tensor,
    *,
    layout: Layout,
    generator: torch.Generator,
    twins: Tensor | None = None,
) -> Tensor:
    """Return the mean squared velocity error per age, (4,); ages not in the layout are NaN.

    latents (B, C, W*K, h, w) are data; words (B, W, L). Finished chunks carry the null caption and
    no loss. x_t = (1 - t) noise + t data, target data - noise. With `twins`, shaped like latents,
    chunks set out from a twin in noise instead, as restyling does, and go straight to the data.
    """
    device = latents.device
    batch, slots = words.shape[:2]
    t = draw_timesteps(layout, batch, generator)
    ages = layout.ages()
    history = torch.tensor([age is None for age in ages], device=device)
    start = torch.randn(latents.shape, generator=generator, device=device)
    t_start = torch.zeros_like(t)
    if twins is not None:
        low, high = RESTYLE_FROM
        drawn = low + (high - low) * torch.rand(batch, 1, generator=generator, device=device)
        t_start = torch.where(history, 0.0, drawn)
        start = start + per_frame(t_start) * (twins - start)
        t = torch.maximum(t, t_start)
    way = (latents - start) / (1 - per_frame(t_start))
    x = start + per_frame(t - t_start) * way

    without_text = torch.rand(batch, 1, generator=generator, device=device) < TEXT_DROPOUT
    # Cached keys come from the history-only forward; only the first step of a stage differs.
    cached = torch.rand(batch, 1, generator=generator, device=device) < 0.75
    null = without_text | history
    drop = without_text | (history & cached)
    rows, mask = caption_rows(model, words, null)
    config = model.dit.config
    chunk_tokens = (
        latents.shape[2] // slots // config.t_patch_size
        * (latents.shape[3] // config.patch_size)
        * (latents.shape[4] // config.patch_size)
    )  # fmt: skip
    velocity = model.dit(
        x,
        t,
        rows,
        mask,
        kv_ranges=layout.key_ranges(chunk_tokens),
        drop_caption=drop,
        kernel=written_out,
    )
    error = (velocity - way).square().unflatten(2, (slots, -1))
    per_slot = error.mean(dim=(0, 1, 3, 4, 5))  # W
    per_age = [
        per_slot[[slot for slot, a in enumerate(ages) if a == age]].mean() for age in range(4)
    ]
    return torch.stack(per_age)


def per_frame(values: Tensor) -> Tensor:
    """Spread values of chunks (B, W) over their latent frames: (B, 1, W*K, 1, 1)."""
    return values.repeat_interleave(SAMPLER.chunk_width, 1)[:, None, :, None, None]


def caption_rows(model: TinyModel, words: Tensor, null: Tensor) -> tuple[Tensor, Tensor]:
    """Return text rows (B*W, L, width) and masks (B*W, L); `null` (B, W) picks the null caption."""
    rows, mask = model.text(words.flatten(0, 1))
    chosen = null.flatten()[:, None]
    rows = torch.where(chosen[..., None], model.dit.null_caption(), rows.float())
    return rows, torch.where(chosen, model.null_mask().to(mask.device), mask.float())
