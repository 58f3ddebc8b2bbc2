"""From step numbers to timesteps: t = 0 is noise, t = 1 is clean."""

from __future__ import annotations

import torch
from torch import Tensor

from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.schedule import TWELVE_STEPS


def timesteps(config: SamplerConfig) -> Tensor:
    """Return t at every step and at the end, (num_steps + 1,), float32."""
    return TRANSFORMS[config.transform](_even_steps(config), config.shift)


def _even_steps(config: SamplerConfig) -> Tensor:
    """Even steps from 0 to 1; twelve steps leave out one sixteenth in each quarter."""
    if config.num_steps != TWELVE_STEPS:
        return torch.linspace(0, 1, config.num_steps + 1, dtype=torch.float32)
    offsets = (0, 1, 2) if config.shortcut_mode == "16,16,8" else (0, 2, 3)
    sixteenths = [4 * quarter + offset for quarter in range(4) for offset in offsets]
    return torch.tensor([*sixteenths, 16], dtype=torch.float32) / 16


def _shift(u: Tensor, q: float) -> Tensor:
    return (1 / q) * u / (1 + (1 / q - 1) * u)


def _square_and_shift(u: Tensor, q: float) -> Tensor:
    return _shift(u**2, q)


def _square(u: Tensor, _: float) -> Tensor:
    return u**2


def _piecewise(u: Tensor, _: float) -> Tensor:
    knee, height, slope = 0.875, 0.5, 4.0
    return torch.where(u < knee, u * (height / knee), height + (u - knee) * slope)


def _identity(u: Tensor, _: float) -> Tensor:
    return u


TRANSFORMS = {
    "sd3": _square_and_shift,
    "square": _square,
    "piecewise": _piecewise,
    "identity": _identity,
    "shift": _shift,
}
