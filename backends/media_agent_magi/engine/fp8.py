"""Linear layers of eight bits, as the released quantised files hold them.

Inputs are rounded to bfloat16 and then to float8 (e4m3), multiplied exactly, and scaled afterwards.
Where the device has a product of float8 numbers it is used; elsewhere they are multiplied in
bfloat16, which holds them exactly, and added up in float32. Every block but the first and the last
is quantised. Source: MAGI-1 (arXiv 2505.13211), checked against golden data.

Letters: S rows, I input width, O output width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from media_agent_magi.engine.blocks.attention import linear_in_float32
from media_agent_magi.engine.dit import VideoDiT

FP8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FP8).max
FIRST_CAPABILITY = (8, 9)
"""Compute capability of the first NVIDIA GPUs that multiply float8."""

ROWS = 4096
"""Rows that are computed at once where it takes much memory; enough to keep a GPU busy."""

PER_TENSOR = ("linear_qkv.q", "linear_qkv.qx", "linear_qkv.k", "linear_qkv.v")
"""Layers of attention whose input has one scale; also `linear_fc1` of the MLP."""


class Fp8Linear(nn.Module):
    """A linear layer without bias whose weight is float8, (1, O, I)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = fixed(torch.empty(1, outputs, inputs, dtype=FP8))
        self.weight_scale = fixed(torch.ones(1))

    def multiply(self, quantised: Tensor, scale: Tensor) -> Tensor:
        """Return `quantised` (..., I) times the weight times both scales, bfloat16 (..., O)."""
        weight, flat = self.weight[0], quantised.flatten(0, -2)
        if has_fp8_product(quantised.device) and not (weight.shape[0] % 16 or weight.shape[1] % 16):
            out = torch._scaled_mm(
                flat,
                weight.t(),
                scale_a=scale.reshape(1),
                scale_b=self.weight_scale,
                out_dtype=torch.bfloat16,
            )
        else:  # float8 is exact in bfloat16, which every GPU multiplies fast
            wide = weight.bfloat16()

            def multiply_rows(rows: Tensor) -> Tensor:
                return linear_in_float32(rows.bfloat16(), wide) * scale * self.weight_scale

            out = by_rows(flat, multiply_rows, len(weight), torch.bfloat16)
        return out.unflatten(0, quantised.shape[:-1])


class PerTensorLinear(Fp8Linear):
    """Its input is divided by `input_scale` (I); the product is scaled by its first entry."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.input_scale = fixed(torch.ones(inputs))

    def quantise(self, x: Tensor) -> Tensor:
        """Return x (..., I) as it is multiplied, float8."""
        return to_fp8(x, self.input_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., O), bfloat16."""
        return self.multiply(self.quantise(x), self.input_scale[:1])


class PerChannelLinear(Fp8Linear):
    """Its input is divided by `smooth_scale` (1, I); `input_scale` (1) scales the product."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.input_scale = fixed(torch.ones(1))
        self.smooth_scale = fixed(torch.ones(1, inputs))

    def quantise(self, x: Tensor) -> Tensor:
        """Return x (..., I) as it is multiplied, float8."""
        return to_fp8(x, self.smooth_scale[0])

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., O), bfloat16."""
        return self.multiply(self.quantise(x), self.input_scale)


def quantised(model: VideoDiT) -> VideoDiT:
    """Put the layers of a quantised checkpoint in place of a model's own; return the model."""
    for block in list(model.videodit_blocks.layers)[1:-1]:
        attention, mlp = block.get_submodule("self_attention"), block.get_submodule("mlp")
        for name in PER_TENSOR:
            _replace(attention, name, PerTensorLinear)
        _replace(attention, "linear_proj", PerChannelLinear)
        _replace(mlp, "linear_fc1", PerTensorLinear)
        _replace(mlp, "linear_fc2", PerChannelLinear)
    return model


def _replace(owner: nn.Module, name: str, kind: Callable[[int, int], Fp8Linear]) -> None:
    old = owner.get_submodule(name)
    assert isinstance(old, nn.Linear)
    with torch.device(old.weight.device):
        owner.set_submodule(name, kind(old.in_features, old.out_features))


def to_fp8(x: Tensor, scale: Tensor) -> Tensor:
    """Divide x (..., I) by a scale (I) in float32; round by way of bfloat16, cut to float8."""

    def round_rows(rows: Tensor) -> Tensor:
        return (rows / scale).clamp_(-LARGEST, LARGEST).bfloat16()

    return by_rows(x.flatten(0, -2), round_rows, x.shape[-1], FP8).view(x.shape)


def by_rows(
    x: Tensor, compute: Callable[[Tensor], Tensor], width: int, dtype: torch.dtype
) -> Tensor:
    """Return what is computed of rows (S, I), (S, width), rounded to `dtype`.

    On a GPU some rows at a time: what is computed on the way is float32, and large.
    """
    if x.is_cpu or len(x) <= ROWS:
        return compute(x).to(dtype)
    out = x.new_empty((len(x), width), dtype=dtype)
    for rows, place in zip(x.split(ROWS), out.split(ROWS), strict=True):
        place.copy_(compute(rows))
    return out


def has_fp8_product(device: torch.device) -> bool:
    """Return whether float8 numbers are multiplied by the device itself."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= FIRST_CAPABILITY


def fixed(value: Tensor) -> nn.Parameter:
    """Return a parameter that is not trained."""
    return nn.Parameter(value, requires_grad=False)
