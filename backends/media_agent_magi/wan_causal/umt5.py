"""The encoder of transformers, filled from a file with the names of Wan 2.1."""

import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from media_agent_magi.loading.headers import WeightFiles
from media_agent_magi.loading.stream import fill, on_meta
from media_agent_magi.wan_causal.table import Umt5Sizes

BLOCK = re.compile(r"blocks\.(\d+)\.(.+)\.weight")
ATTENTION, FEED_FORWARD = "layer.0.SelfAttention", "layer.1.DenseReluDense"
OUTER = {
    "token_embedding.weight": "shared.weight",
    "norm.weight": "encoder.final_layer_norm.weight",
}
INNER = {
    "norm1": "layer.0.layer_norm",
    "attn.q": f"{ATTENTION}.q",
    "attn.k": f"{ATTENTION}.k",
    "attn.v": f"{ATTENTION}.v",
    "attn.o": f"{ATTENTION}.o",
    "pos_embedding.embedding": f"{ATTENTION}.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": f"{FEED_FORWARD}.wi_0",
    "ffn.fc1": f"{FEED_FORWARD}.wi_1",
    "ffn.fc2": f"{FEED_FORWARD}.wo",
}


def load_umt5(files: WeightFiles, sizes: Umt5Sizes, dtype: torch.dtype) -> nn.Module:
    """Load an encoder into the main memory.

    Raises:
        WeightsError: It does not fit, or cannot be read.
    """
    model = build_umt5(sizes, dtype)
    names = {rename(name): name for name in files.tensors}
    tensors = {own: files.tensors[name] for own, name in names.items()}
    stored = {own: files.stored_name(name) for own, name in names.items()}
    fill(model, replace(files, tensors=tensors, stored=stored), _stay_mapped)
    model.encoder.embed_tokens = model.shared
    return model


def build_umt5(sizes: Umt5Sizes, dtype: torch.dtype) -> Any:
    """Build the encoder on the meta device."""
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(
        vocab_size=sizes.vocabulary,
        d_model=sizes.width,
        d_kv=sizes.inner // sizes.heads,
        d_ff=sizes.feed_forward,
        num_layers=sizes.layers,
        num_heads=sizes.heads,
        relative_attention_num_buckets=sizes.buckets,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
    )
    return on_meta(lambda: UMT5EncoderModel(config).to(dtype))


def rename(name: str) -> str:
    """Return the name that transformers has for a tensor of Wan's file; others stay."""
    found = BLOCK.fullmatch(name)
    if found is None:
        return OUTER.get(name, name)
    layer, inner = found.groups()
    return f"encoder.block.{layer}.{INNER.get(inner, inner)}.weight"


def _stay_mapped(name: str, tensor: Tensor) -> Tensor:
    """Leave numbers where they are: in the file, which the system may let go at any time."""
    return tensor
