"""What the parts of a MAGI-1 model take in memory, from its config and a frame size. No torch."""

import math
from dataclasses import replace

from media_agent_magi.engine.config import ModelConfig, SamplerConfig
from media_agent_magi.engine.schedule import ChunkSchedule
from media_agent_magi.loading.memory import ModelSizes
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.table import block_table, count_bytes, outer_table, parameter_table

HALF, FULL = 2, 4  # bytes of a number: bfloat16, float32
T5_PARAMETERS = 4_762_310_656
"""Of the encoder of T5 v1.1 XXL."""
VAE_PARAMETERS = 613_000_000
TILE = (12, 256, 256)  # frames, rows and columns that are decoded as one
TILE_BYTES = 96 * 2**20
TILE_STRIDE = 192
ROTARY_BYTES = 384  # of a token
LONG_SCHEDULE = 12  # chunks, after which the schedule repeats itself


def chunk_tokens(config: MagiConfig, size: tuple[int, int]) -> int:
    """Count the tokens of a chunk of frames of so many rows and columns."""
    model, pixels = config.model, config.geometry.pixels
    rows, columns = (n // pixels // model.patch_size for n in size)
    return config.sampler.chunk_width // model.t_patch_size * rows * columns


def ring_chunks(sampler: SamplerConfig, prefix_chunks: int = 0) -> int:
    """Return how many clean chunks are kept at most, besides those in work."""
    schedule = ChunkSchedule(sampler, prefix_chunks)
    total = prefix_chunks + LONG_SCHEDULE
    steps = (step for j in range(schedule.stages(total)) for step in schedule.stage(j, total))
    seen = (
        step.window[0] - min(start for start, _ in step.kv_ranges)
        for step in steps
        if step.kv_ranges
    )
    return max(seen, default=0)


def working_bytes(config: ModelConfig, tokens: int, past: int) -> int:
    """Return what a forward needs of `tokens` tokens that look back at `past` of a layer.

    Largest where both attentions are joined, or within the MLP.
    """
    d, dh = config.hidden_size, config.kv_channels
    heads, keys = config.num_attention_heads * dh, 2 * config.num_query_groups * dh
    joined = FULL * (2 * heads + d) + HALF * (6 * heads + keys + d)
    inner = config.ffn_hidden_size * (4 if config.gated_linear_unit else 2)
    largest = max(joined, HALF * (inner + 3 * d)) + HALF * (keys + 2 * d) + ROTARY_BYTES
    return tokens * largest + past * HALF * keys + FULL * 2 * heads * d


def magi_sizes(
    config: MagiConfig,
    size: tuple[int, int],
    *,
    prefix_chunks: int = 0,
    has_fp8: bool = False,
    text_bytes: int = HALF * T5_PARAMETERS,
    vae_bytes: int = HALF * VAE_PARAMETERS,
    videos: int = 1,
) -> ModelSizes:
    """Return what the parts take for frames of so many rows and columns.

    Args:
        config: The settings of the weights.
        size: Rows and columns of pixels.
        prefix_chunks: Whole chunks of a video that is continued.
        has_fp8: Whether there are the same weights in eight bits.
        text_bytes: What the text encoder takes.
        vae_bytes: What the autoencoder takes.
        videos: How many are made side by side.
    """
    model, tokens = config.model, chunk_tokens(config, size)
    per_token = 2 * model.num_query_groups * model.kv_channels * HALF  # of one layer
    extra = 2 if config.distilled else 1  # the chunk just finished, and the nearly clean one again

    def kept(window: int) -> int:
        return ring_chunks(replace(config.sampler, window_size=window), prefix_chunks)

    return ModelSizes(
        text=text_bytes,
        weights=count_bytes(parameter_table(model, quantised=config.quantised)),
        fp8_weights=count_bytes(parameter_table(model, quantised=True)) if has_fp8 else None,
        resident=count_bytes(outer_table(model)),
        block=count_bytes(block_table(model, quantised=False)),
        ring=lambda held: videos * kept(held.window) * tokens * model.num_layers * per_token,
        activations=lambda held: (
            videos
            * working_bytes(model, (held.window + extra) * tokens, kept(held.window) * tokens)
        ),
        vae=vae_bytes,
        tile=videos * TILE_BYTES,
        tiles=math.prod(-(-n // TILE_STRIDE) for n in size),
        window=config.sampler.window_size,
        is_quantised=config.quantised,
        smaller=(("one chunk in work", {"window": 1}),) if config.sampler.window_size > 1 else (),
    )
