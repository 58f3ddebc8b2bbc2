"""How latents move when the model has spoken, and from which timestep to which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.schedule import TWELVE_STEPS


class Stepper(Protocol):
    """Takes a chunk from one noise level to the next; level 0 is pure noise."""

    def time(self, level: int) -> float:
        """Return the timestep that the model is told at a level."""
        ...

    def progress(self, level: int) -> float:
        """Return how far a level is, from 0, noise, to 1, clean."""
        ...

    def start(self, noise: Tensor, given: Tensor, level: int) -> Tensor:
        """Return latents of a level, made of noise and of the latents they are to resemble."""
        ...

    def nearest(self, t: float) -> int:
        """Return the level, not the last one, whose timestep is nearest to t (0 noise, 1 clean)."""
        ...

    def step(
        self, latents: Tensor, said: Tensor, level: int, noise: Callable[[], Tensor]
    ) -> Tensor:
        """Return the latents of the next level.

        Args:
            latents: Those of this level.
            said: What the model has said of them.
            level: This level.
            noise: Draws new noise of their shape, the same whenever this step is taken.
        """
        ...


class EulerStepper:
    """Follows a velocity, from t = 0, noise, to t = 1, clean: x + v * (t' - t)."""

    def __init__(self, config: SamplerConfig) -> None:
        self.times = timesteps(config)

    def time(self, level: int) -> float:
        """Return t at a level."""
        return float(self.times[level])

    def progress(self, level: int) -> float:
        """Return t, which is that."""
        return self.time(level)

    def start(self, noise: Tensor, given: Tensor, level: int) -> Tensor:
        """Mix noise and latents in a straight line."""
        t = self.time(level)
        return (1 - t) * noise + t * given

    def nearest(self, t: float) -> int:
        """Return the level whose timestep is nearest to t."""
        return int((self.times[:-1] - t).abs().argmin())

    def step(
        self, latents: Tensor, said: Tensor, level: int, noise: Callable[[], Tensor]
    ) -> Tensor:
        """Go along the velocity; no new noise is needed."""
        return latents + said * (self.times[level + 1] - self.times[level])


def timesteps(config: SamplerConfig) -> Tensor:
    """Return t, 0 noise and 1 clean, at every step and at the end, (num_steps + 1,), float32."""
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
