"""What the parts of a MAGI-1 model take in memory, from its config and a frame size. No torch."""

import math
from dataclasses import dataclass, replace

from media_agent_magi.engine.config import ModelConfig, SamplerConfig
from media_agent_magi.engine.schedule import ChunkSchedule
from media_agent_magi.loading.memory import ModelSizes
from media_agent_magi.magi.config import MagiConfig

HALF, FULL, BYTE = 2, 4, 1  # bytes of a number: bfloat16, float32, float8
SINUSOID = 256
T5_PARAMETERS = 4_762_310_656
"""Of the encoder of T5 v1.1 XXL."""
VAE_PARAMETERS = 613_000_000
TILE = (12, 256, 256)  # frames, rows and columns that are decoded as one
TILE_BYTES = 320 * 2**20
TILE_STRIDE = 192
LONG_SCHEDULE = 12  # chunks, after which the schedule repeats itself


@dataclass(frozen=True, slots=True)
class BlockParameters:
    """Parameters of a block: in the dtype of the body, quantised where it is, always float32."""

    body: int
    linear: int
    exact: int
    scales: int


def block_parameters(config: ModelConfig) -> BlockParameters:
    """Count the parameters of one block."""
    d, dh, ffn = config.hidden_size, config.kv_channels, config.ffn_hidden_size
    heads, groups = config.num_attention_heads * dh, config.num_query_groups * dh
    condition, text = int(d * config.cond_hidden_ratio), int(d * config.xattn_cond_hidden_ratio)
    inner = ffn * (2 if config.gated_linear_unit else 1)
    per_tensor = {"q": heads, "qx": heads, "k": groups, "v": groups, "fc1": inner}
    per_channel = {"proj": 2 * heads, "fc2": ffn}
    return BlockParameters(
        body=2 * d * (condition + 1) + 4 * d + 2 * groups * text + 4 * dh,
        linear=sum(per_tensor.values()) * d + sum(per_channel.values()) * d,
        exact=4 * dh + 4 * d,
        scales=len(per_tensor) * (1 + d) + sum(2 + width for width in per_channel.values()),
    )


def outer_parameters(config: ModelConfig) -> int:
    """Count the parameters outside of the blocks, all float32."""
    d, width = config.hidden_size, config.caption_channels
    condition, text = int(d * config.cond_hidden_ratio), int(d * config.xattn_cond_hidden_ratio)
    patch = config.t_patch_size * config.patch_size**2
    time = condition * (SINUSOID + 1) + condition * (condition + 1)
    caption = config.caption_max_length * width + (text + condition) * (width + 1)
    return (
        d * patch * (config.in_channels + config.out_channels)
        + time + caption + config.kv_channels // 8 + 2 * d
    )  # fmt: skip


def weight_bytes(config: ModelConfig, *, quantised: bool) -> int:
    """Return what all weights take where they are used."""
    block, layers = block_parameters(config), config.num_layers
    inner = max(0, layers - 2) if quantised else 0
    whole = block_bytes(config)
    small = HALF * block.body + BYTE * block.linear + FULL * (block.exact + block.scales)
    return (layers - inner) * whole + inner * small + FULL * outer_parameters(config)


def block_bytes(config: ModelConfig) -> int:
    """Return what a block takes that is not quantised."""
    block = block_parameters(config)
    return HALF * (block.body + block.linear) + FULL * block.exact


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

    Largest in the MLP, or where both attentions are joined; as counted on the meta device.
    """
    d, dh = config.hidden_size, config.kv_channels
    heads, groups = config.num_attention_heads * dh, config.num_query_groups * dh
    inner = config.ffn_hidden_size * (2 if config.gated_linear_unit else 1)
    mlp = HALF * (inner + 2 * config.ffn_hidden_size + 2 * d)
    attention = FULL * 4 * heads + HALF * (2 * heads + 2 * groups) + FULL * d
    keys = HALF * 2 * groups * 2
    return tokens * (max(mlp, attention) + keys + 2 * FULL * d) + past * keys


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
        weights=weight_bytes(model, quantised=config.quantised),
        fp8_weights=weight_bytes(model, quantised=True) if has_fp8 or config.quantised else None,
        resident=FULL * outer_parameters(model),
        block=block_bytes(model),
        ring=lambda window: videos * kept(window) * tokens * model.num_layers * per_token,
        activations=lambda window: videos
        * working_bytes(model, (window + extra) * tokens, kept(window) * tokens),
        vae=vae_bytes,
        tile=videos * TILE_BYTES,
        tiles=math.prod(-(-n // TILE_STRIDE) for n in size),
        window=config.sampler.window_size,
        is_quantised=config.quantised,
    )


PRESETS_GIB = (12, 16, 24, 80)
"""Sizes of cards for which the plans need no setting."""

