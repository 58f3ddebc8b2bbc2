"""Checkpoints: weights and their running average in 16 bit, at most 16 MiB, written atomically."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from media_agent.storage.files import write_aside

LIMIT = 16 * 2**20
"""Bytes; checkpoints must be easy to move."""


class Average:
    """The exponential moving average of a model's floating-point state."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model; early steps count more, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


def save(path: Path, model: nn.Module, average: Average, facts: dict[str, Any]) -> None:
    """Write weights (`model.`) and average (`average.`) as bfloat16, with `facts` as JSON.

    Raises:
        ValueError: The checkpoint would be larger than 16 MiB.
    """
    tensors = {f"model.{name}": _to_half(value) for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": _to_half(value) for name, value in average.state.items()}
    size = sum(value.nbytes for value in tensors.values())
    if size > LIMIT:
        raise ValueError(f"checkpoint of {size / 2**20:.1f} MiB is over the limit of 16 MiB")
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_aside(path) as aside:
        save_file(tensors, aside, metadata={"facts": json.dumps(facts)})


def load(path: Path, model: nn.Module, average: Average) -> dict[str, Any]:
    """Load what `save` wrote into both; return its facts.

    Raises:
        ValueError: The file is damaged or belongs to a model of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for prefix, target in (("model.", model.state_dict()), ("average.", average.state)):
            for name, value in target.items():
                value.copy_(tensors.pop(prefix + name))
    except (SafetensorError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} is not a checkpoint of this model: {error}") from error
    return facts


def load_averaged(path: Path, model: nn.Module) -> dict[str, Any]:
    """Give a model the averaged weights of a checkpoint, which are those to use; return its facts.

    Raises:
        ValueError: The file is damaged or belongs to a model of another shape.
    """
    average = Average(model, 0.0)
    facts = load(path, model, average)
    model.load_state_dict(average.state)
    return facts


def _to_half(value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    return value.to(torch.bfloat16) if value.is_floating_point() else value
