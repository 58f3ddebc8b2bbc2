"""Adapters of low rank beside the products of the blocks, merged into their weights or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PREFIX = "base_model.model."
ENDS = {".lora_A.weight": "down", ".lora_B.weight": "up"}


class AdapterError(ValueError):
    """An adapter that does not fit the model; the message names every fault found."""


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """What is added to a product: scale * up(down(x)); down (rank, in), up (out, rank)."""

    down: Tensor
    up: Tensor
    scale: float


class AdaptedLinear(nn.Module):
    """A product and what an adapter adds to it."""

    down: Tensor
    up: Tensor

    def __init__(self, base: nn.Linear, added: LowRank) -> None:
        super().__init__()
        self.base, self.scale = base, added.scale
        self.register_buffer("down", added.down.to(base.weight))
        self.register_buffer("up", added.up.to(base.weight))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.down), self.up)


def read_adapter(
    tensors: Mapping[str, Tensor], model: nn.Module, alpha: float
) -> dict[str, LowRank]:
    """Return an adapter by the names of the products it belongs to; scale is alpha / rank.

    Raises:
        AdapterError: Names or shapes do not fit; all faults at once.
    """
    found: dict[str, dict[str, Tensor]] = {}
    faults = []
    for name, tensor in tensors.items():
        end = next((end for end in ENDS if name.endswith(end)), None)
        if end is None or not name.startswith(PREFIX):
            faults.append(f"unknown tensor {name!r}")
            continue
        found.setdefault(name[len(PREFIX) : -len(end)], {})[ENDS[end]] = tensor
    modules, adapter = dict(model.named_modules()), {}
    for name, parts in found.items():
        module = modules.get(name)
        if not isinstance(module, nn.Linear):
            faults.append(f"the model has no product {name!r}")
        elif set(parts) != set(ENDS.values()):
            faults.append(f"{name!r} lacks lora_{'B' if 'down' in parts else 'A'}")
        else:
            down, up = parts["down"], parts["up"]
            shapes = (module.out_features, len(down)), (len(down), module.in_features)
            if (tuple(up.shape), tuple(down.shape)) != shapes:
                faults.append(f"{name!r} has shapes {tuple(up.shape)} and {tuple(down.shape)}")
            adapter[name] = LowRank(down, up, alpha / len(down))
    if faults or not adapter:
        raise AdapterError("; ".join(faults) or "the adapter is empty")
    return adapter


@torch.no_grad()
def merge(model: nn.Module, adapter: Mapping[str, LowRank]) -> None:
    """Add an adapter to the weights, in float32, rounded once."""
    for name, added in adapter.items():
        weight = model.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        product = added.up.to(weight.device).float() @ added.down.to(weight.device).float()
        weight.copy_((weight.float() + added.scale * product).to(weight.dtype))


def apply(model: nn.Module, adapter: Mapping[str, LowRank]) -> None:
    """Put an adapter beside the weights, which stay as they are."""
    for name, added in adapter.items():
        base = model.get_submodule(name)
        assert isinstance(base, nn.Linear)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, AdaptedLinear(base, added))
