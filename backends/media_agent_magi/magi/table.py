"""Names, shapes and dtypes of all weights of a MAGI-1 transformer, without building it. No torch.

It lets a folder be checked, and memory be planned, before torch is imported; a test compares it
with the transformer itself.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from media_agent_magi.engine.config import ModelConfig

SINUSOID = 256
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "float8_e4m3fn": 1}
BLOCK = "videodit_blocks.layers"


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor as it is held in memory."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """What it takes."""
        return math.prod(self.shape) * BYTES[self.dtype]


Table = dict[str, Weight]


def parameter_table(config: ModelConfig, *, quantised: bool) -> Table:
    """Return all weights by name."""
    table = outer_table(config)
    for layer in range(config.num_layers):
        is_inner = 0 < layer < config.num_layers - 1
        table |= {
            f"{BLOCK}.{layer}.{name}": weight
            for name, weight in block_table(config, quantised=quantised and is_inner).items()
        }
    return table


def outer_table(config: ModelConfig) -> Table:
    """Return the weights outside of the blocks."""
    d, width = config.hidden_size, config.caption_channels
    condition, text = int(d * config.cond_hidden_ratio), int(d * config.xattn_cond_hidden_ratio)
    patch = (config.t_patch_size, config.patch_size, config.patch_size)
    shapes: dict[str, tuple[int, ...]] = {
        "x_embedder.weight": (d, config.in_channels, *patch),
        "t_embedder.mlp.0.weight": (condition, SINUSOID),
        "t_embedder.mlp.0.bias": (condition,),
        "t_embedder.mlp.2.weight": (condition, condition),
        "t_embedder.mlp.2.bias": (condition,),
        "y_embedder.null_caption_embedding": (config.caption_max_length, width),
        "y_embedder.y_proj_xattn.0.weight": (text, width),
        "y_embedder.y_proj_xattn.0.bias": (text,),
        "y_embedder.y_proj_adaln.0.weight": (condition, width),
        "y_embedder.y_proj_adaln.0.bias": (condition,),
        "rope.bands": (config.kv_channels // 8,),
        "videodit_blocks.final_layernorm.weight": (d,),
        "videodit_blocks.final_layernorm.bias": (d,),
        "final_linear.linear.weight": (math.prod(patch) * config.out_channels, d),
    }
    return {name: Weight(shape, "float32") for name, shape in shapes.items()}


def block_table(config: ModelConfig, *, quantised: bool) -> Table:
    """Return the weights of one block, by their names in it."""
    d, dh, body = config.hidden_size, config.kv_channels, config.params_dtype
    heads, groups = config.num_attention_heads * dh, config.num_query_groups * dh
    condition, text = int(d * config.cond_hidden_ratio), int(d * config.xattn_cond_hidden_ratio)
    ffn = config.ffn_hidden_size
    inner = ffn * (2 if config.gated_linear_unit else 1)
    attention, qkv = "self_attention", "self_attention.linear_qkv"
    table = {
        "ada_modulate_layer.proj.0.weight": Weight((2 * d, condition), body),
        "ada_modulate_layer.proj.0.bias": Weight((2 * d,), body),
        f"{attention}.linear_kv_xattn.weight": Weight((2 * groups, text), body),
    }
    norms = {
        f"{qkv}.layer_norm": (d, body),
        "mlp.layer_norm": (d, body),
        f"{attention}.q_layernorm": (dh, "float32"),
        f"{attention}.k_layernorm": (dh, "float32"),
        f"{attention}.q_layernorm_xattn": (dh, body),
        f"{attention}.k_layernorm_xattn": (dh, body),
        "self_attn_post_norm": (d, "float32"),
        "mlp_post_norm": (d, "float32"),
    }
    for name, (width, dtype) in norms.items():
        table[f"{name}.weight"] = table[f"{name}.bias"] = Weight((width,), dtype)
    per_tensor = {
        f"{qkv}.q": (heads, d),
        f"{qkv}.qx": (heads, d),
        f"{qkv}.k": (groups, d),
        f"{qkv}.v": (groups, d),
        "mlp.linear_fc1": (inner, d),
    }
    per_channel = {f"{attention}.linear_proj": (d, 2 * heads), "mlp.linear_fc2": (d, ffn)}
    for name, shape in (per_tensor | per_channel).items():
        if quantised:
            table |= dict(_quantised(name, shape, by_channel=name in per_channel))
        else:
            table[f"{name}.weight"] = Weight(shape, body)
    return table


def _quantised(
    name: str, shape: tuple[int, int], *, by_channel: bool
) -> Iterator[tuple[str, Weight]]:
    inputs = shape[1]
    yield f"{name}.weight", Weight((1, *shape), "float8_e4m3fn")
    yield f"{name}.weight_scale", Weight((1,), "float32")
    yield f"{name}.input_scale", Weight((1,) if by_channel else (inputs,), "float32")
    if by_channel:
        yield f"{name}.smooth_scale", Weight((1, inputs), "float32")


def count_bytes(table: Table) -> int:
    """Return what all weights of a table take."""
    return sum(weight.bytes for weight in table.values())
