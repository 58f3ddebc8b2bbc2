"""What happens inside one forward of the transformer, to find the place of a fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.rope import apply_rotary, rotary_table
from media_agent_magi.parity.comparison import GENERATION, Comparison
from media_agent_magi.parity.golden import Tensors

OUTPUTS = {
    "t_embedder_out": "t_embedder.mlp",
    "final_layernorm_out": "videodit_blocks.final_layernorm",
    "final_linear_out": "final_linear.linear",
}
INPUTS = {
    "t_embedder_sinusoid": "t_embedder.mlp",
    "condition": "videodit_blocks.layers.0.ada_modulate_layer",
    "block_input_SNC": "videodit_blocks.layers.0",
}
LAYER_OUTPUTS = {
    "qkv_layer_norm_out": "self_attention.linear_qkv.layer_norm",
    "v": "self_attention.linear_qkv.v",
    "xattn_q": "self_attention.q_layernorm_xattn",
    "attn_linear_proj_out": "self_attention",
    "ada_modulate_out_before_softcap": "ada_modulate_layer.proj",
    "self_attn_post_norm_out": "self_attn_post_norm",
    "mlp_layer_norm_out": "mlp.layer_norm",
    "mlp_out": "mlp",
    "mlp_post_norm_out": "mlp_post_norm",
    "block_out": "",
}
ROTATED = {
    "q_after_norm_rope": "self_attention.q_layernorm",
    "k_after_norm_rope": "self_attention.k_layernorm",
}


@dataclass(slots=True)
class Recording:
    """First input and output of the modules of one forward; lists, in order of the calls."""

    inputs: dict[str, list[Tensor]] = field(default_factory=dict)
    outputs: dict[str, list[Tensor]] = field(default_factory=dict)


@contextmanager
def record_modules(model: nn.Module) -> Iterator[Recording]:
    """Record what goes in and out of every module while the context is open."""
    recording = Recording()

    def hook(name: str) -> Any:
        def keep(_: nn.Module, given: tuple[Any, ...], out: Any) -> None:
            if given and isinstance(given[0], Tensor):
                recording.inputs.setdefault(name, []).append(given[0])
            if isinstance(out, Tensor):
                recording.outputs.setdefault(name, []).append(out)

        return keep

    handles = [m.register_forward_hook(hook(name)) for name, m in model.named_modules()]
    try:
        yield recording
    finally:
        for handle in handles:
            handle.remove()


def compare_intermediates(
    done: Comparison, mid: Tensors, seen: Recording, model: VideoDiT, first_chunk: int
) -> None:
    """Compare the intermediates of a one-sample forward as far as the model shows them."""
    x, t = seen.inputs[""][0], seen.outputs["t_embedder.mlp"][0]
    table = _table(model, x, t.shape[1], first_chunk)
    for name, expected in mid.items():
        got = table if name == "rope_sin_cos" else _find(name, seen, table)
        if got is not None and got.numel() == expected.numel():
            done.close(f"mid.{name}", got.reshape(expected.shape), expected, GENERATION)


def _find(name: str, seen: Recording, table: Tensor) -> Tensor | None:
    if name == "t_embedder_distill_dt_out":
        later = seen.outputs["t_embedder.mlp"][1:]
        return later[0].expand_as(seen.outputs["t_embedder.mlp"][0]) if later else None
    if name in OUTPUTS:
        return _first(seen.outputs, OUTPUTS[name])
    if name in INPUTS:
        return _first(seen.inputs, INPUTS[name])
    layer, _, what = name.partition(".")
    root = f"videodit_blocks.layers.{layer.removeprefix('layer')}"
    if what in LAYER_OUTPUTS:
        return _first(seen.outputs, f"{root}.{LAYER_OUTPUTS[what]}".rstrip("."))
    if what in ROTATED:
        normed = _first(seen.outputs, f"{root}.{ROTATED[what]}")
        return None if normed is None else apply_rotary(normed, table)
    return None


def _first(tensors: dict[str, list[Tensor]], name: str) -> Tensor | None:
    return tensors[name][0] if name in tensors else None


def _table(model: VideoDiT, x: Tensor, chunks: int, first_chunk: int) -> Tensor:
    config = model.config
    frames = x.shape[2] // config.t_patch_size
    rows, columns = (size // config.patch_size for size in x.shape[3:])
    with torch.no_grad():
        return rotary_table(model.rope.bands, first_chunk * frames // chunks, frames, rows, columns)
