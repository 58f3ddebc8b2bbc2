"""magi/tiny: the calibration model, loaded from the weights that ship with the package."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from media_agent_magi.engine.conv_vae import ConvVAE, to_uint8
from media_agent_magi.engine.guidance import GuidanceTable
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler, OnForward
from media_agent_magi.engine.text_rows import TextRow, null_row
from media_agent_magi.tiny_description import WEIGHTS, Guidance, TinyDescription, WeightsError
from media_agent_magi.tiny_model import TinyModel
from media_agent_magi.world.captions import tokenize
from media_agent_magi.world.scene import SIZE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Prompts = Callable[[int], str | None]
"""Chunk number -> its prompt; None where the film ends before this chunk."""


class TinyEngine:
    """Text per chunk in, frames per chunk out."""

    def __init__(self, model: TinyModel, vae: ConvVAE, description: TinyDescription) -> None:
        self.model = model.eval()
        self.vae = vae.eval()
        self.description = description
        self._numbers = {word: number for number, word in enumerate(description.words, start=1)}

    def generate(
        self,
        prompts: Prompts | Sequence[str],
        seed: int,
        *,
        num_inference_steps: int | None = None,
        guidance: Guidance | None = None,
        on_forward: OnForward | None = None,
    ) -> "Iterator[NDArray[np.uint8]]":
        """Yield chunks of 24 frames, uint8 (24, 64, 64, 3), as they become clean.

        Args:
            prompts: The prompt of each chunk; a function may go on for ever.
            seed: Chunk noise depends on it and on the chunk's number alone.
            num_inference_steps: A multiple of the window; the description's if not given.
            guidance: Text guidance; the description's if not given.
            on_forward: Called after every forward of the transformer; may raise to stop.
        """
        source, total = as_function(prompts)
        config = self.description.sampler
        if num_inference_steps is not None:
            config = replace(config, num_steps=num_inference_steps)
        strength = guidance if guidance is not None else self.description.guidance
        texts: dict[int, str] = {}

        def text(chunk: int) -> TextRow | None:
            prompt = source(chunk)
            if prompt is None:
                return None
            texts[chunk] = prompt
            texts.pop(chunk - config.window_size - 2, None)
            return self.text_row(prompt)

        channels, cells = self.model.dit.config.latent_channels, SIZE // 8
        sampler = ChunkSampler(
            self.model.dit,
            config,
            noise=seeded_noise(seed, (channels, config.chunk_width, cells, cells)),
            text=text,
            total=total,
            guidance=lambda chunk: guidance_table(strength, chunk, texts.get),
            null=null_row(self.model.dit.null_caption(), config.null_caption_tokens),
            on_forward=on_forward,
        )
        for chunk in sampler:
            yield self.decode(chunk.latents)

    @torch.no_grad()
    def text_row(self, prompt: str) -> TextRow:
        """Encode a prompt; words the model has never read are passed over."""
        known = [self._numbers[word] for word in tokenize(prompt) if word in self._numbers]
        length = self.model.dit.config.caption_max_length
        numbers = (known + [0] * length)[:length]
        rows, mask = self.model.text(torch.tensor([numbers]))
        return TextRow(rows[0], mask[0])

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> "NDArray[np.uint8]":
        """Return the frames (T, 64, 64, 3) of latents (1, C, T/4, 8, 8)."""
        frames: NDArray[np.uint8] = (
            to_uint8(self.vae.decode(latents))[0].permute(1, 2, 3, 0).contiguous().numpy()
        )
        return frames


def guidance_table(guidance: Guidance, chunk: int, prompts: Prompts) -> GuidanceTable:
    """Return the table of one chunk: text guidance alone, stronger where the prompt is new."""
    if chunk == 0:
        scale = guidance.first
    else:
        scale = guidance.steady if prompts(chunk) == prompts(chunk - 1) else guidance.switch
    return GuidanceTable((0.0,), (1.0,), (scale,))


def as_function(prompts: Prompts | Sequence[str]) -> tuple[Prompts, int | None]:
    """Return prompts as a function of the chunk, and how many chunks there are, if known."""
    if callable(prompts):
        return prompts, None
    texts = tuple(prompts)
    return (lambda chunk: texts[chunk] if 0 <= chunk < len(texts) else None), len(texts)


def load_tiny(folder: Path = WEIGHTS) -> TinyEngine:
    """Load magi/tiny, about 0.2 s after torch is there.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
    """
    description = TinyDescription.read(folder)
    path = folder / "tiny.safetensors"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != description.sha256:
        raise WeightsError(
            f"the weights {path} are damaged: SHA-256 is {digest[:12]}..., "
            f"not {description.sha256[:12]}..."
        )
    model = TinyModel(description.model, words=len(description.words))
    vae = ConvVAE(description.autoencoder)
    try:
        tensors = {name: value.float() for name, value in load(data).items()}
        for prefix, module in (("model.", model), ("autoencoder.", vae)):
            part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            module.load_state_dict(part)
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"the weights {path} do not fit their description: {error}") from error
    return TinyEngine(model, vae, description)
