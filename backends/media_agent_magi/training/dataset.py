"""Latent videos with captions, drawn and encoded once per run."""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from media_agent_magi.engine.conv_vae import ConvVAE
from media_agent_magi.tiny_config import CAPTION_LENGTH, WORD_NUMBERS
from media_agent_magi.training.layouts import SLOTS
from media_agent_magi.world.captions import caption, tokenize
from media_agent_magi.world.renderer import render, sample_scenes
from media_agent_magi.world.scene import CHUNK_FRAMES, Description, all_descriptions

WORDINGS = 64
"""Different captions kept for each description."""


def word_numbers(text: str) -> list[int]:
    """Return the numbers of the known words of a caption, padded with 0 to the caption length."""
    known = [WORD_NUMBERS[word] for word in tokenize(text) if word in WORD_NUMBERS]
    return (known + [0] * CAPTION_LENGTH)[:CAPTION_LENGTH]


def caption_table(seed: int) -> Tensor:
    """Return word numbers of many wordings of every description, (648, WORDINGS, L)."""
    rng = random.Random(seed)
    return torch.tensor(
        [
            [word_numbers(caption(description, rng)) for _ in range(WORDINGS)]
            for description in all_descriptions()
        ]
    )


@dataclass(frozen=True, slots=True)
class Dataset:
    """N videos of SLOTS chunks: latents (N, C, SLOTS*6, 8, 8) half, descriptions (N, SLOTS)."""

    latents: Tensor
    descriptions: Tensor
    captions: Tensor

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw latents (B, C, T, 8, 8), each rolled on the torus, and captions (B, SLOTS, L).

        Rolling by whole latent cells is exact: world and autoencoder are both periodic.
        """
        device = self.latents.device

        def integers(limit: int, *shape: int) -> Tensor:
            return torch.randint(limit, shape, generator=generator, device=device)

        rows = integers(len(self.latents), size)
        latents = self.latents[rows].float()
        cells = latents.shape[-1]
        index = torch.arange(cells, device=device)
        down, right = (
            ((index + integers(cells, size, 1)) % cells)[:, None, None, :, None],
            ((index + integers(cells, size, 1)) % cells)[:, None, None, None, :],
        )
        latents = latents.gather(3, down.expand_as(latents)).gather(4, right.expand_as(latents))
        wording = integers(WORDINGS, size, SLOTS)
        return latents, self.captions[self.descriptions[rows], wording]


@torch.no_grad()
def make_dataset(vae: ConvVAE, videos: int, seed: int, device: str, batch: int = 20) -> Dataset:
    """Draw and encode `videos` clips that never show a held-out combination."""
    generator = torch.Generator(device).manual_seed(seed)
    numbers: dict[Description, int] = {d: i for i, d in enumerate(all_descriptions())}
    latents, descriptions = [], []
    for _ in range(0, videos, batch):
        scenes = sample_scenes(batch, SLOTS, generator)
        video = render(scenes, SLOTS * CHUNK_FRAMES).transpose(1, 2) * 2 - 1
        latents.append(vae.encode(video).half())
        descriptions += [[numbers[d] for d in clip] for clip in scenes.descriptions()]
    return Dataset(
        torch.cat(latents),
        torch.tensor(descriptions, device=device),
        caption_table(seed).to(device),
    )
