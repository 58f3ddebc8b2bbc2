"""A block written out with as few calls as it takes, for small inputs on a CPU.

There the way through modules and copies takes up to a third of the time, and two threads wait for
each other in it. The numbers are those of `Block`, to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.blocks.attention import AttentionContext
from media_agent_magi.engine.blocks.layers import Norm
from media_agent_magi.engine.dit import Block, VideoDiT
from media_agent_magi.engine.rope import swapped

GATES_KEPT = 64
"""Conditions whose gates a block keeps, for the steps of a video repeat themselves."""

Numbers = tuple[tuple[int, ...], Tensor, Tensor, float]
"""Of a norm: its shape, what it multiplies with and adds, and its epsilon."""


def make_lean(model: VideoDiT) -> None:
    """Let the blocks of a model, prepared for inference on a CPU, run so where no gradient is.

    To be called again when the weights change.
    """
    for block in model.videodit_blocks.layers:
        assert isinstance(block, Block)
        block.lean = LeanBlock(block)


class LeanBlock:
    """Does what a prepared block without quantised layers does, with the same weights."""

    def __init__(self, block: Block) -> None:
        attention, mlp = block.self_attention, block.mlp
        together, wide = attention.linear_qkv.together, attention.wide
        assert together is not None, "the model is not prepared"
        self._together, self._sizes = together, attention.linear_qkv.sizes
        self._joining = attention.linear_proj.weight if wide is None else wide
        self._attention, self._activate = attention, mlp.activate
        self._in, self._mlp_in = _numbers(attention.linear_qkv.layer_norm), _numbers(mlp.layer_norm)
        self._q, self._k = _numbers(attention.q_layernorm), _numbers(attention.k_layernorm)
        self._qx = _numbers(attention.q_layernorm_xattn)
        self._fc1, self._fc2 = mlp.linear_fc1.weight, mlp.linear_fc2.weight
        self._seen, self._done = _numbers(block.self_attn_post_norm), _numbers(block.mlp_post_norm)
        self._make_gates = block.ada_modulate_layer
        self._gates: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, x: Tensor, condition: Tensor, context: AttentionContext) -> Tensor:
        """Return the block's output, (N, S, D)."""
        gate_attention, gate_mlp = self._gate(condition)
        x = _gated_sum(x, self._attend(x, context), gate_attention, self._seen)
        hidden = F.linear(torch.layer_norm(x, *self._mlp_in), self._fc1)
        return _gated_sum(x, F.linear(self._activate(hidden), self._fc2), gate_mlp, self._done)

    def _attend(self, x: Tensor, context: AttentionContext) -> Tensor:
        shape = (*x.shape[:2], -1, self._attention.dh)
        projected = F.linear(torch.layer_norm(x, *self._in), self._together)
        q, qx, k, v = (part.view(shape) for part in projected.split(self._sizes, dim=-1))
        q, k = _turned(q, self._q, context.turning), _turned(k, self._k, context.turning)
        joined = self._attention.attend(q, torch.layer_norm(qx, *self._qx), k, v, context)
        return F.linear(joined.to(self._joining.dtype), self._joining)

    def _gate(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return both gates (N, W, 1, D), float32."""
        kept = self._gates.get(id(condition))
        if kept is None or kept[0] is not condition:
            first, second = self._make_gates(condition)
            if len(self._gates) >= GATES_KEPT:
                self._gates.clear()
            kept = condition, first.float().unsqueeze(2), second.float().unsqueeze(2)
            self._gates[id(condition)] = kept
        return kept[1], kept[2]


def _numbers(norm: Norm | nn.LayerNorm) -> Numbers:
    scale = norm.scale if isinstance(norm, Norm) else norm.weight
    assert isinstance(scale, Tensor), "the model is not prepared"
    return tuple(scale.shape), scale, norm.bias, norm.eps


def _turned(x: Tensor, norm: Numbers, turning: tuple[Tensor, Tensor]) -> Tensor:
    """Norm heads (N, S, heads, dh) and rotate them, as `rotated` does, in place."""
    normed = torch.layer_norm(x.float(), *norm)
    others = swapped(normed).mul_(turning[1])
    return normed.mul_(turning[0]).add_(others).to(x.dtype)


def _gated_sum(x: Tensor, y: Tensor, gate: Tensor, norm: Numbers) -> Tensor:
    """Do what `gated_sum` does, in place; y is of no use any more."""
    y = y.float()
    y.view(len(y), gate.shape[1], -1, y.shape[-1]).mul_(gate)
    return torch.layer_norm(y, *norm).add_(x).to(x.dtype)
