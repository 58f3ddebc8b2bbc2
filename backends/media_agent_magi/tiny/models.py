"""The loaded parts of magi/tiny, as the engine wants them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.blocks.lean import make_lean
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.guidance import Predictor, RunPair
from media_agent_magi.engine.stepper import EulerStepper
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.tiny.config import GEOMETRY, LABEL
from media_agent_magi.tiny.description import Guidance, TinyDescription
from media_agent_magi.tiny.model import TinyModel
from media_agent_magi.world.captions import tokenize
from media_agent_magi.world.scene import SIZE

ROWS_KEPT = 8


class TinyModels:
    """Transformer, words and autoencoder, ready to make videos."""

    label: str = LABEL
    geometry: Geometry = GEOMETRY
    size: tuple[int, int] = (SIZE, SIZE)

    def __init__(self, model: TinyModel, vae: ConvVAE, description: TinyDescription) -> None:
        self.model = model.eval().requires_grad_(False)
        self.model.dit.prepare()
        if self._device.type == "cpu":
            make_lean(self.model.dit)
        self.vae = vae.eval().requires_grad_(False)
        self.description = description
        self._row = lru_cache(ROWS_KEPT)(self._encode_prompt)
        self._numbers = {word: number for number, word in enumerate(description.words, start=1)}

    @property
    def transformer(self) -> VideoDiT:
        """The transformer."""
        return self.model.dit

    @property
    def sampler(self) -> SamplerConfig:
        """How it is stepped."""
        return self.description.sampler

    @property
    def facts(self) -> dict[str, str]:
        """What ties a state to these weights."""
        return {"model": self.description.model.model_name, "weights": self.description.sha256}

    @property
    def _device(self) -> torch.device:
        return self.model.dit.device

    def guidance(self, scale: float | None) -> Guidance:
        """Return the description's guidance, or the same scale for all chunks."""
        return self.description.guidance if scale is None else Guidance(scale, scale, scale)

    def close(self) -> None:
        """Do nothing: it starts no thread."""

    def text_row(self, prompt: str, chunks_left: int | None = None) -> TextRow:
        """Encode a prompt; words the model has never read are passed over."""
        return self._row(prompt)

    @torch.inference_mode()
    def _encode_prompt(self, prompt: str) -> TextRow:
        known = [self._numbers[word] for word in tokenize(prompt) if word in self._numbers]
        length = self.model.dit.config.caption_max_length
        numbers = (known + [0] * length)[:length]
        rows, mask = self.model.text(torch.tensor([numbers], device=self._device))
        return TextRow(rows[0], mask[0])

    def predictor(
        self, config: SamplerConfig, pair: RunPair | None, choices: Mapping[str, Any]
    ) -> Predictor:
        """Return what runs the forwards of a video."""
        return Predictor(self.transformer, config, KVCache(), pair)

    def stepper(self, config: SamplerConfig) -> EulerStepper:
        """Return how latents move."""
        return EulerStepper(config)

    def expect(self, prompts: Sequence[str]) -> None:
        """Do nothing: prompts are encoded within a millisecond."""

    def encode(self, video: Tensor) -> Tensor:
        """Return latents (1, C, T/4, 8, 8) of a video (1, 3, T, 64, 64)."""
        return self.vae.encode(video.to(self._device))

    decoder_frames: int = 1
    branches_from_keys: bool = False

    def open_decoder(self, before: Tensor | None, *, start: int = 0) -> "TinyDecoder":
        """Return what decodes a video, with a look at the latent frame before each piece."""
        return TinyDecoder(self.vae, None if before is None else before[:, :, -1:])


class TinyDecoder:
    """Decodes a video; `before` is the latent frame before the next piece."""

    def __init__(self, vae: ConvVAE, before: Tensor | None) -> None:
        self._vae, self.before = vae, before

    def decode(self, latents: Tensor) -> Tensor:
        """Return the video of latents."""
        before = None if self.before is None else self.before.to(latents.device)
        self.before = latents[:, :, -1:]
        return self._vae.decode(latents, before)
