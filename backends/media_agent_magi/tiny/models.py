"""The loaded parts of magi/tiny, as the engine wants them."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.blocks.lean import make_lean
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
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
        return self.model.dit.null_caption().device

    def guidance(self, scale: float | None) -> Guidance:
        """Return the description's guidance, or the same scale for all chunks."""
        return self.description.guidance if scale is None else Guidance(scale, scale, scale)

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

    def cache(self) -> KVCache:
        """Return where the keys of a video are kept."""
        return KVCache()

    def expect(self, prompts: Sequence[str]) -> None:
        """Do nothing: prompts are encoded within a millisecond."""

    def encode(self, video: Tensor) -> Tensor:
        """Return latents (1, C, T/4, 8, 8) of a video (1, 3, T, 64, 64)."""
        return self.vae.encode(video.to(self._device))

    def decode(self, latents: Tensor, before: Tensor | None) -> Tensor:
        """Return the video of latents, as a continuation of the latent frame before them."""
        before = None if before is None else before.to(latents.device)
        return self.vae.decode(latents, before)
