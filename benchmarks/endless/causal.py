"""A causal Wan model of random weights, to be measured chunk by chunk like the others."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.predictor import WindowedPredictor
from media_agent_magi.engine.causal.stepper import FewStepStepper
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.wan_causal.config import LONGLIVE

MODEL = WanConfig(dim=512, num_heads=8, ffn_dim=2048, num_layers=4, text_len=64)
"""21 million numbers."""

CAUSAL = LONGLIVE.causal
SHAPE = (MODEL.in_dim, CAUSAL.block_frames, 4, 4)
SHOT = 15
"""Blocks after which the text changes, and all that is seen is read again: before the 20th too."""


@dataclass(frozen=True, slots=True)
class CausalSubject:
    """The model, stepped as LongLive is: 4 steps, a window of 12 frames, 3 of them the sink."""

    dit: WanDiT
    vae: WanVAE
    texts: tuple[TextRow, ...]

    @classmethod
    def of_random_weights(cls) -> "CausalSubject":
        """Draw the weights, and two texts that take turns."""
        torch.manual_seed(0)
        rows = torch.randn(2, MODEL.text_len // 2, MODEL.text_dim)
        return cls(
            WanDiT(MODEL).eval().prepare(),
            WanVAE(WanVAEConfig(dim=4)).eval(),
            tuple(TextRow(row, torch.ones(len(row))) for row in rows),
        )

    def sampler(self, chunks: int) -> ChunkSampler:
        """Begin a video of so many blocks."""
        return ChunkSampler(
            self.dit,
            CAUSAL.sampler,
            noise=seeded_noise(0, SHAPE),
            text=lambda chunk: self.texts[chunk // SHOT % len(self.texts)],
            total=chunks,
            predictor=WindowedPredictor(self.dit, CAUSAL),
            stepper=FewStepStepper(CAUSAL),
        )

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return what decodes a video block by block."""
        return self.vae.open_decoder().decode

    def yardstick(self) -> Callable[[], object]:
        """Return a forward of fixed input, of as many frames as the first one of a block."""
        frames = 2 * CAUSAL.block_frames
        x = torch.randn(1, SHAPE[0], frames, *SHAPE[2:])
        grid = self.dit.grid(x)
        text = (self.dit.read(self.texts[0].caption[None], self.texts[0].mask[None]),)
        rotary = self.dit.rotary(grid, 0, frames)
        condition = self.dit.condition(torch.full((1, frames), 500.0))
        ranges = [[(0, math.prod(grid))]]
        return lambda: self.dit.run(x, condition, text, rotary, ranges=ranges)
