"""The loaded parts of a causal Wan model, as the engine wants them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.wan_vae import WanVAE, WanVAEStream
from media_agent_magi.engine.autoencoders.wan_vae_tiles import TiledStream
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.predictor import WindowedPredictor
from media_agent_magi.engine.causal.stepper import FewStepStepper
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.guidance import RunPair
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.loading.cleaning import clean_prompt
from media_agent_magi.loading.host_cache import HostCache
from media_agent_magi.wan_causal.config import WanCausalConfig
from media_agent_magi.wan_causal.options import chosen


class Prompts(Protocol):
    """Encodes prompts."""

    def expect(self, prompts: Sequence[str]) -> None:
        """Encode prompts ahead."""
        ...

    def rows(self, prompt: str) -> Tensor:
        """Return the rows (tokens, channels) of what is read of a prompt."""
        ...

    def close(self) -> None:
        """End the thread that encodes."""
        ...


class NoGuidance:
    """The model was distilled with its guidance in it."""

    def facts(self) -> dict[str, Any]:
        """Return no numbers."""
        return {}

    def table(self, *, is_first: bool, is_new: bool) -> GuidanceTable:
        """Return that text and history pull as they are."""
        return GuidanceTable((0.0,), (1.0,), (1.0,))


class WanCausalModels:
    """Transformer, prompts and autoencoder, ready to make videos."""

    branches_from_keys: bool = True

    def __init__(
        self,
        label: str,
        config: WanCausalConfig,
        *,
        transformer: WanDiT,
        vae: WanVAE,
        prompts: Prompts,
        fingerprint: str,
        keys_in_main: bool = False,
        vae_in_tiles: bool = False,
    ) -> None:
        """Take the parts; see `Holding` for `vae_in_tiles`.

        `keys_in_main`: the ring waits in the main memory.
        """
        self.label, self.config = label, config
        self.transformer = transformer
        self.sampler: SamplerConfig = config.causal.sampler
        self.geometry: Geometry = config.geometry
        self.size = config.size
        self.facts: Mapping[str, Any] = {
            "model": config.name,
            "weights": fingerprint,
            "window": config.causal.window,
        }
        self._vae, self._prompts, self._keys_in_main = vae, prompts, keys_in_main
        self._stream = TiledStream if vae_in_tiles else WanVAEStream

    def guidance(self, scale: float | None) -> NoGuidance:
        """Return that there is none."""
        return NoGuidance()

    def predictor(
        self, config: SamplerConfig, pair: RunPair | None, choices: Mapping[str, Any]
    ) -> WindowedPredictor:
        """Return what runs the forwards of a video."""
        cache = HostCache(self.transformer.device) if self._keys_in_main else KVCache()
        causal = chosen(self.config.causal, dict(choices))
        return WindowedPredictor(self.transformer, causal, cache)

    def stepper(self, config: SamplerConfig) -> FewStepStepper:
        """Return how latents move."""
        return FewStepStepper(self.config.causal)

    def expect(self, prompts: Sequence[str]) -> None:
        """Encode prompts in the background."""
        self._prompts.expect([clean_prompt(prompt) for prompt in prompts])

    def close(self) -> None:
        """End the thread that encodes."""
        self._prompts.close()

    def text_row(self, prompt: str, chunks_left: int | None) -> TextRow:
        """Encode the prompt of a chunk; rows behind its end are the transformer's to add."""
        rows = self._prompts.rows(clean_prompt(prompt))
        return TextRow(rows, torch.ones(len(rows), dtype=torch.float32))

    def encode(self, video: Tensor) -> Tensor:
        """Return latents (1, C, t, h, w) of a video (1, 3, T, H, W) in [-1, 1], T = 1 + 4k."""
        return self._vae.encode(video.to(self.transformer.device))

    @property
    def decoder_frames(self) -> int:
        """How many latent frames a decoder has to have seen."""
        return self._vae.decoder_frames

    def open_decoder(self, before: Tensor | None, *, start: int = 0) -> "WanDecoder":
        """Return what decodes a video, or goes on with one."""
        return WanDecoder(self._stream(self._vae, is_first=start == 0), before)


class WanDecoder:
    """Decodes a video; what came before its first piece is decoded first, and thrown away."""

    def __init__(self, stream: WanVAEStream | TiledStream, before: Tensor | None) -> None:
        self._stream, self._before = stream, before

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Return the video of latents."""
        if self._before is not None:
            for frame in self._before.to(latents.device).split(1, dim=2):
                self._stream.decode(frame)
            self._before = None
        return self._stream.decode(latents)
