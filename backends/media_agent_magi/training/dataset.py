"""Latent videos with captions, drawn and encoded once per run."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.tiny.config import CAPTION_LENGTH, WORD_NUMBERS
from media_agent_magi.training.layouts import SLOTS
from media_agent_magi.world.captions import caption, tokenize
from media_agent_magi.world.renderer import SceneBatch, render, sample_scenes
from media_agent_magi.world.scene import CHUNK_FRAMES, COLOURS, Description, all_descriptions

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
    """N videos of SLOTS chunks: latents (N, C, SLOTS*6, 8, 8) half, descriptions (N, SLOTS).

    twins: the first of them in other colours, for learning to restyle.
    """

    latents: Tensor
    descriptions: Tensor
    captions: Tensor
    twins: Tensor

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw latents (B, C, T, 8, 8), each rolled on the torus, and captions (B, SLOTS, L)."""
        (latents,), words = self._draw((self.latents,), size, generator)
        return latents, words

    def pairs(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw twins and latents, both (B, C, T, 8, 8) and rolled alike, and captions of these."""
        videos = self.twins, self.latents[: len(self.twins)]
        (twins, latents), words = self._draw(videos, size, generator)
        return twins, latents, words

    def _draw(
        self, videos: tuple[Tensor, ...], size: int, generator: torch.Generator
    ) -> tuple[list[Tensor], Tensor]:
        """Draw the same rows of all videos.

        Rolling by whole latent cells is exact: world and autoencoder are both periodic.
        """
        device = self.latents.device

        def integers(limit: int, *shape: int) -> Tensor:
            return torch.randint(limit, shape, generator=generator, device=device)

        rows = integers(len(videos[0]), size)
        cells = self.latents.shape[-1]
        index = torch.arange(cells, device=device)
        down, right = (
            ((index + integers(cells, size, 1)) % cells)[:, None, None, :, None],
            ((index + integers(cells, size, 1)) % cells)[:, None, None, None, :],
        )
        drawn = [video[rows].float() for video in videos]
        rolled = [x.gather(3, down.expand_as(x)).gather(4, right.expand_as(x)) for x in drawn]
        wording = integers(WORDINGS, size, SLOTS)
        return rolled, self.captions[self.descriptions[rows], wording]


@torch.no_grad()
def make_dataset(
    vae: ConvVAE,
    videos: int,
    seed: int,
    device: str,
    *,
    twins: int = 0,
    batch: int = 20,
    is_enough: Callable[[int], bool] = lambda clips: False,
) -> Dataset:
    """Draw and encode `videos` clips that never show a held-out combination.

    At least `twins` of them are drawn in other colours too, each clip by a shift of its own.
    `is_enough` hears how many there are after each batch, and may end the drawing early.
    """
    generator = torch.Generator(device).manual_seed(seed)
    numbers: dict[Description, int] = {d: i for i, d in enumerate(all_descriptions())}
    latents, recoloured, descriptions = [], [], []
    for number in range(0, videos, batch):
        scenes = sample_scenes(batch, SLOTS, generator)
        latents.append(_encode(vae, scenes))
        descriptions += [[numbers[d] for d in clip] for clip in scenes.descriptions()]
        if number < twins:
            shift = torch.randint(
                1, len(COLOURS), (batch, 1), generator=generator, device=generator.device
            )
            colour = (scenes.colour + shift) % len(COLOURS)
            recoloured.append(_encode(vae, replace(scenes, colour=colour)))
        if is_enough(len(descriptions)):
            break
    return Dataset(
        torch.cat(latents),
        torch.tensor(descriptions, device=device),
        caption_table(seed).to(device),
        torch.cat(recoloured) if recoloured else latents[0][:0],
    )


def _encode(vae: ConvVAE, scenes: SceneBatch) -> Tensor:
    video = render(scenes, SLOTS * CHUNK_FRAMES).transpose(1, 2) * 2 - 1
    return vae.encode(video).half()
