"""How latents move when the model has spoken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.times import timesteps


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
