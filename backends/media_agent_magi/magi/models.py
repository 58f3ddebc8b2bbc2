"""The loaded parts of a MAGI-1 model, as the engine wants them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.guidance import Predictor, RunPair
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.stepper import EulerStepper
from media_agent_magi.engine.text.rows import SpecialTokens, TextRow
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.loading.cleaning import clean_caption
from media_agent_magi.loading.host_cache import HostCache
from media_agent_magi.loading.prompts import EncodedPrompts
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.tokens import USUAL
from media_agent_magi.magi.vae import ScaledVAE

LONG = 8  # chunks, for a video whose end is not known: the longest that there is a token for


@dataclass(frozen=True, slots=True)
class MagiGuidance:
    """The pull of text and history by intervals of t, the same for every chunk."""

    given: GuidanceTable

    def facts(self) -> dict[str, Any]:
        """Return its numbers."""
        return asdict(self.given)

    def table(self, *, is_first: bool, is_new: bool) -> GuidanceTable:
        """Return the table of a chunk."""
        return self.given


class MagiModels:
    """Transformer, prompts and autoencoder, ready to make videos."""

    def __init__(
        self,
        label: str,
        config: MagiConfig,
        *,
        transformer: VideoDiT,
        sampler: SamplerConfig,
        vae: ScaledVAE,
        prompts: EncodedPrompts,
        special: SpecialTokens,
        fingerprint: str,
        keys_in_main: bool = False,
    ) -> None:
        self.label = label
        self.transformer = transformer
        self.sampler = sampler
        self.geometry: Geometry = config.geometry
        self.size = config.size
        self.facts: Mapping[str, Any] = {"model": config.model.model_name, "weights": fingerprint}
        self._vae, self._prompts, self._special = vae, prompts, special
        self._keys_in_main = keys_in_main

    def predictor(
        self, config: SamplerConfig, pair: RunPair | None, choices: Mapping[str, Any]
    ) -> Predictor:
        """Return what runs the forwards of a video."""
        cache = HostCache(self.transformer.device) if self._keys_in_main else KVCache()
        return Predictor(self.transformer, config, cache, pair)

    def stepper(self, config: SamplerConfig) -> EulerStepper:
        """Return how latents move."""
        return EulerStepper(config)

    def guidance(self, scale: float | None) -> MagiGuidance:
        """Return the released guidance, or one whose text pulls with `scale` where it pulls.

        Raises:
            ValueError: The weights are distilled, and have no guidance to change.
        """
        table = GuidanceTable.from_config(self.sampler)
        if scale is None:
            return MagiGuidance(table)
        texts = tuple(scale if text else 0.0 for text in table.text_scales)
        return MagiGuidance(GuidanceTable(table.t_range, table.history_scales, texts))

    def expect(self, prompts: Sequence[str]) -> None:
        """Encode prompts in the background."""
        self._prompts.expect([clean_caption(prompt) for prompt in prompts])

    def close(self) -> None:
        """End the thread that encodes."""
        self._prompts.close()

    def text_row(self, prompt: str, chunks_left: int | None) -> TextRow:
        """Encode the prompt of a chunk, with the tokens in front that scripts put there."""
        rows = self._prompts.rows(clean_caption(prompt))
        config = self.transformer.config
        shape = config.caption_max_length, config.caption_channels
        caption = torch.zeros(shape, dtype=torch.float32)
        mask = torch.zeros(config.caption_max_length, dtype=torch.float32)
        caption[: len(rows)], mask[: len(rows)] = rows, 1
        left = LONG if chunks_left is None else chunks_left
        return TextRow(caption, mask).with_front(self._special.front(USUAL, left))

    def encode(self, video: Tensor) -> Tensor:
        """Return latents (1, C, t, h, w) of a video (1, 3, T, H, W) in [-1, 1]."""
        return self._vae.encode(video)

    decoder_frames: int = 0
    branches_from_keys: bool = False

    def open_decoder(self, before: Tensor | None, *, start: int = 0) -> ScaledVAE:
        """Return the autoencoder: each half second is decoded alone, as it was trained."""
        return self._vae
