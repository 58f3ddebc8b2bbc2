"""What the parts of a causal Wan model take in memory, from its config and a frame size. No torch.

Weights and what is kept are counted exactly, working memory by the layer that needs most; tests
compare both with what is allocated.
"""

import math
from collections.abc import Mapping
from typing import Any

from media_agent_magi.engine.autoencoders.wan_vae_config import (
    WanVAEConfig,
    count_covered,
    share_of_tile,
)
from media_agent_magi.engine.causal.config import EVERYTHING, WanConfig
from media_agent_magi.loading.memory import Holding, ModelSizes, TiledVAE
from media_agent_magi.wan_causal.config import WanCausalConfig
from media_agent_magi.wan_causal.table import (
    UMT5_XXL,
    block_table,
    count_numbers,
    outer_table,
    transformer_table,
)
from media_agent_magi.wan_causal.vae_table import stream_numbers, vae_table

HALF, FULL = 2, 4  # bytes of a number: bfloat16, float32
ROOM = 21
"""Latent frames that a model sees at most whose settings know no window."""

SMALL_WINDOW = 12
"""Latent frames that are seen where memory is short; LongLive was trained with it."""

TEXTS_KEPT = 2
VAE_WORKING = 5
"""Numbers of working memory for each pixel of the frames of a latent frame, in multiples of the
outermost channels: inputs, history and results of the layer that needs most. As many are needed of
the channels with which the wide levels begin, for each place there."""

FLOW_BYTES = 14
"""Of a token, for each of its numbers: the residual stream, what is normed and modulated."""


def frame_tokens(config: WanConfig, size: tuple[int, int], pixels: int) -> int:
    """Count the tokens of a latent frame of so many rows and columns of pixels."""
    rows, columns = (n // pixels // p for n, p in zip(size, config.patch_size[1:], strict=True))
    return rows * columns


def key_bytes(config: WanConfig, tokens: int, number: int = HALF) -> int:
    """Return what keys and values of so many tokens take in all blocks."""
    return tokens * 2 * config.dim * config.num_layers * number


def working_bytes(config: WanConfig, tokens: int, seen: int, number: int = HALF) -> int:
    """Return what a forward needs of `tokens` tokens, of which a block sees `seen` at most.

    Largest within the MLP, or where what is seen is put together from the sink and the rest.
    """
    flow = FLOW_BYTES * config.dim * number // HALF
    return tokens * (2 * config.ffn_dim * number + flow) + 2 * seen * config.dim * number


def window_of(config: WanCausalConfig) -> int:
    """Return how many latent frames are seen at most."""
    window = config.causal.window
    return ROOM if window == EVERYTHING else window


def wan_sizes(
    config: WanCausalConfig,
    size: tuple[int, int],
    *,
    videos: int = 1,
    number: int = HALF,
    text_bytes: int = HALF * count_numbers(UMT5_XXL.table()),
    vae: WanVAEConfig | None = None,
    fixed_window: bool = False,
    moves: bool = True,
) -> ModelSizes:
    """Return what the parts take for frames of so many rows and columns.

    Args:
        config: The settings of the weights, with the window that is wanted.
        size: Rows and columns of pixels.
        videos: How many are made side by side.
        number: Bytes of a number of transformer and autoencoder.
        text_bytes: What the text encoder takes.
        vae: Sizes of the autoencoder; the released ones if not given.
        fixed_window: Whether the window is not made smaller where memory is short.
        moves: Whether there is a main memory beside that of the device.
    """
    model, block = config.model, config.causal.block_frames
    vae = WanVAEConfig() if vae is None else vae
    pixels, window = config.geometry.pixels, window_of(config)
    tokens = frame_tokens(model, size, pixels)
    rows, columns = (n // pixels for n in size)
    texts = key_bytes(model, model.text_len, number) * TEXTS_KEPT

    def ring(held: Holding) -> int:
        frames = held.window + (block if held.rides else 0)
        return videos * key_bytes(model, frames * tokens, number) + texts

    def activations(held: Holding) -> int:
        moving = block if held.rides else 0
        clean = held.window if config.causal.recache else block  # all that is seen is read again
        at_once = (clean + moving) * tokens
        return videos * working_bytes(model, at_once, held.window * tokens, number)

    smaller: list[tuple[str, Mapping[str, Any]]] = [
        ("keys of finished blocks made apart", {"rides": False})
    ]
    tiled = tiled_vae(vae, size, block, number, videos) if moves else None
    if tiled is not None:
        smaller.append(("frames decoded in tiles", {"vae_in_tiles": True}))
    if window > SMALL_WINDOW and not fixed_window:
        smaller.append((f"a window of {SMALL_WINDOW} frames", {"window": SMALL_WINDOW}))
    stream = videos * sum(stream_numbers(vae, rows, columns)) * number
    return ModelSizes(
        text=text_bytes,
        weights=number * count_numbers(transformer_table(model)),
        fp8_weights=None,
        resident=number * count_numbers(outer_table(model)),
        block=number * count_numbers(block_table(model)),
        ring=ring,
        activations=activations,
        vae=number * count_numbers(vae_table(vae)) + stream,
        tile=videos * number * VAE_WORKING * vae.dim * vae.patch[0] * math.prod(size),
        tiles=1,
        window=window,
        smaller=tuple(smaller),
        tiled=tiled,
    )


def tiled_vae(
    vae: WanVAEConfig, size: tuple[int, int], block: int, number: int, videos: int
) -> TiledVAE | None:
    """Return what decoding in tiles takes; None where a frame is a single one.

    Of the tiles one is on the device, with what it looks back at.
    """
    share, pixels = share_of_tile(vae, *size), math.prod(size)
    if share == 1:
        return None
    deep, wide = stream_numbers(vae, *(n // vae.patch[1] for n in size))
    places = vae.patch[0] * pixels // vae.wide_patch**2
    begin = vae.widths[vae.wide_levels - 1]
    working = max(begin * places, share * vae.dim * vae.patch[0] * pixels)
    return TiledVAE(
        number * (count_numbers(vae_table(vae)) + videos * round(deep + share * wide)),
        number * videos * round(VAE_WORKING * working),
        number * videos * round(wide * count_covered(vae, *size) + block * begin * places),
    )
