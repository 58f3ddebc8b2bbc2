"""What a family has to offer to make videos, once its weights are loaded."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.guidance import RunPair
from media_agent_magi.engine.stepper import Stepper
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.engine.transformer import StepPredictor, Transformer
from media_agent_magi.generating.family import Guidance
from media_agent_magi.generating.geometry import Geometry


class Decoder(Protocol):
    """Decodes a video piece by piece: each piece once, in order, from any thread."""

    def decode(self, latents: Tensor) -> Tensor:
        """Return the video (N, 3, T, H, W), in [-1, 1] if clamped, of latents (N, C, t, h, w)."""
        ...


class Models(Protocol):
    """A transformer, a text encoder and an autoencoder that go together."""

    @property
    def label(self) -> str:
        """The name to be used in messages."""
        ...

    @property
    def transformer(self) -> Transformer:
        """Predicts where the latents go."""
        ...

    @property
    def sampler(self) -> SamplerConfig:
        """How it is stepped, unless a request says otherwise."""
        ...

    @property
    def geometry(self) -> Geometry:
        """How latents lie in time and space."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of pixels, unless a request says otherwise."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What ties a state to these weights."""
        ...

    @property
    def branches_from_keys(self) -> bool:
        """Whether a branch goes on from the keys of a state; else from its last latents."""
        ...

    def guidance(self, scale: float | None) -> Guidance:
        """Return the usual guidance, or one whose text pulls with `scale` in all chunks."""
        ...

    def predictor(
        self, config: SamplerConfig, pair: RunPair | None, choices: Mapping[str, Any]
    ) -> StepPredictor:
        """Return what runs the forwards of a video, with an empty cache.

        Args:
            config: How the video is stepped.
            pair: What runs two forwards, if two are to run at the same time.
            choices: What the request says that this family alone knows.
        """
        ...

    def stepper(self, config: SamplerConfig) -> Stepper:
        """Return how latents move."""
        ...

    def expect(self, prompts: Sequence[str]) -> None:
        """Hear which prompts will come, to encode them ahead."""
        ...

    def close(self) -> None:
        """End the threads that were started; no video is made with them any more."""
        ...

    def text_row(self, prompt: str, chunks_left: int | None) -> TextRow:
        """Encode the prompt of a chunk.

        Args:
            prompt: What it shows.
            chunks_left: How many chunks there are from it on; None where the video has no end.
        """
        ...

    def encode(self, video: Tensor) -> Tensor:
        """Return the latents (1, C, t, h, w) of a video (1, 3, T, H, W) in [-1, 1]."""
        ...

    @property
    def decoder_frames(self) -> int:
        """How many latent frames a decoder has to have seen to go on as if it had seen all."""
        ...

    def open_decoder(self, before: Tensor | None, *, start: int = 0) -> Decoder:
        """Return what decodes a video, or goes on with one.

        Args:
            before: The latest latent frames before the first piece, (N, C, k, h, w); None at the
                start of a video.
            start: Number in the video of the first of them.
        """
        ...
