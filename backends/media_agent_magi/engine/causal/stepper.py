"""Few steps: what is clean is predicted, and mixed with fresh noise of the next timestep."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from media_agent_magi.engine.causal.config import TRAIN_STEPS, CausalConfig


class NoiseTable:
    """The noise levels a model was trained at: sigma from 1 down, and t = 1000 sigma, float32."""

    def __init__(self, shift: float) -> None:
        even = torch.linspace(1.0, 0.0, TRAIN_STEPS + 1, dtype=torch.float32)[:-1]
        self.sigmas = shift * even / (1 + (shift - 1) * even)
        self.times = self.sigmas * TRAIN_STEPS

    def warped(self, step: float) -> float:
        """Return the timestep at the place of an even step; 0 stays 0, which has no place."""
        return float(self.times[TRAIN_STEPS - int(step)]) if step else 0.0

    def index(self, t: float) -> int:
        """Return the place of the timestep nearest to t."""
        return int((self.times - t).abs().argmin())

    def sigma(self, t: float) -> Tensor:
        """Return the noise level of the timestep nearest to t, a float32 number."""
        return self.sigmas[self.index(t)]


class FewStepStepper:
    """Predicts x0 = x - sigma * v at each level; but for the last, mixes it with fresh noise."""

    def __init__(self, config: CausalConfig) -> None:
        table = NoiseTable(config.shift)
        self.times = tuple(
            table.warped(step) if config.warp else float(step) for step in config.steps
        )
        self.sigmas = torch.stack([table.sigma(t) for t in self.times])

    def time(self, level: int) -> float:
        """Return t at a level: 1000 is noise."""
        return self.times[level]

    def progress(self, level: int) -> float:
        """Return 0 where a level is noise, 1 behind the last."""
        return 1.0 if level == len(self.times) else 1 - float(self.sigmas[level])

    def start(self, noise: Tensor, given: Tensor, level: int) -> Tensor:
        """Mix latents with noise of a level, in float32."""
        sigma = self.sigmas[level]  # a number on the CPU, for which no GPU is waited for
        mixed = (1 - sigma) * given.float() + sigma * noise.float()
        return mixed.to(given.dtype)

    def nearest(self, t: float) -> int:
        """Return the level whose noise is nearest to 1 - t."""
        return int((self.sigmas - (1 - t)).abs().argmin())

    def predict(self, latents: Tensor, said: Tensor, level: int) -> Tensor:
        """Return x0, computed in float64 and rounded once."""
        sigma = self.sigmas[level].double()
        return (latents.double() - sigma * said.double()).to(latents.dtype)

    def step(
        self, latents: Tensor, said: Tensor, level: int, noise: Callable[[], Tensor]
    ) -> Tensor:
        """Return x0 with the noise of the next level, if there is one."""
        clean = self.predict(latents, said, level)
        if level + 1 == len(self.times):
            return clean
        return self.start(noise().to(latents.dtype), clean, level + 1)
