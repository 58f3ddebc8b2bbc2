"""The causal Wan models as a family of the backend "wan-causal". No torch until one is loaded."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.local import describe_missing
from media_agent.errors import InvalidRequestError, StorageError
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.engine.config import ConfigError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.generating.options import EngineOptions
from media_agent_magi.loading.damage import damage_error
from media_agent_magi.loading.device import size_of
from media_agent_magi.loading.fitting import Fitting
from media_agent_magi.loading.memory import TEXT_BYTES, ModelSizes
from media_agent_magi.loading.tokenizer import tokenize
from media_agent_magi.wan_causal.config import SIDES, WanCausalConfig
from media_agent_magi.wan_causal.fetching import LICENCE
from media_agent_magi.wan_causal.folder import WanCausalFolder
from media_agent_magi.wan_causal.options import WanCausalOptions, chosen, declare_options
from media_agent_magi.wan_causal.sizes import (
    FULL,
    HALF,
    frame_tokens,
    key_bytes,
    wan_sizes,
    window_of,
)
from media_agent_magi.wan_causal.table import UMT5_XXL, count_numbers
from media_agent_schemas.capabilities import CancelRule, Capabilities, Control
from media_agent_schemas.estimate import MemoryUse
from media_agent_schemas.facts import SizeRange, Verification, VerificationLevel
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import Shot, VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent_magi.generating.engine import Engine

BACKEND = "wan-causal"
LIBRARIES = ("torch", "safetensors", "transformers", "ftfy", "sentencepiece")
SECOND_BYTES_PER_PIXEL = 2.5
TAIL_NUMBER = 4  # bytes of a latent in a state


class WanCausalFamily:
    """The weights in one folder, or those that could be fetched under a released name."""

    def __init__(
        self,
        model: str,
        config: WanCausalConfig,
        folder: WanCausalFolder | None = None,
        *,
        kept: Path | None = None,
        missing: str | None = None,
    ) -> None:
        """Take the settings; `missing` says how to get weights that are not here.

        `kept` is the folder for encoded prompts.
        """
        self.model, self._config, self._folder = model, config, folder
        self._kept, self._missing = kept, missing

    @property
    def geometry(self) -> Geometry:
        """How its latents lie in time and space."""
        return self._config.geometry

    @cached_property
    def _capabilities(self) -> Capabilities:
        config, fps = self._config, float(self._config.fps)
        rows, columns = config.size
        continued = (VideoMode.VIDEO_EXTEND,) if config.continues else ()
        chunk = self.geometry.chunk_frames / config.fps
        return Capabilities(
            backend=BACKEND,
            model=self.model,
            models=(self.model,),
            description=f"native chunk engine, Wan 2.1 1.3B causal, {config.name} weights",
            size_range=SizeRange(
                minimum=Size(width=SIDES.start, height=SIDES.start),
                maximum=Size(width=SIDES[-1], height=SIDES[-1]),
                multiple=SIDES.step,
            ),
            default_size=Size(width=columns, height=rows),
            fps_values=(fps,),
            default_fps=fps,
            default_duration=5.0,
            modes=(VideoMode.TEXT_TO_VIDEO, *continued),
            input_roles=(InputRole.SOURCE_VIDEO,) if continued else (),
            endless=True,
            chunk_seconds=chunk,
            max_shots=None,
            max_n=4,
            seed=True,
            controls=(Control.CHANGE_PROMPT, Control.FINISH),
            cancel_rule=CancelRule.STOPS,
            resumable=True,
            extends=True,
            streams=True,
            lookup="key",
            resubmits=True,
            options=declare_options(config),
            verification=Verification(
                level=VerificationLevel.PARITY,
                note="engine checked against golden data; the released weights were never run here",
            ),
            licence=LICENCE,
            local=True,
            reads_urls=False,
            missing=self._missing or describe_missing("magi-weights", *LIBRARIES),
        )

    def capabilities(self) -> Capabilities:
        """Say what it can do."""
        return self._capabilities

    def read_options(self, given: Mapping[str, Any]) -> WanCausalOptions:
        """Read the options of a request.

        Raises:
            InvalidRequestError: They contradict each other.
        """
        options = WanCausalOptions.model_validate(given)
        try:
            chosen(self._config.causal, options.choices())
        except ConfigError as error:
            raise InvalidRequestError(
                f"{BACKEND}/{self.model}: {error}", hint="give another window or sink"
            ) from error
        return options

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that is too long for the text encoder."""
        longest = self._config.model.text_len
        count = self._count_tokens(prompt)
        if count is not None and count > longest:
            raise InvalidRequestError(
                f"the prompt has {count} tokens, and {BACKEND}/{self.model} reads {longest}",
                hint="shorten it",
            )

    def _count_tokens(self, prompt: str) -> int | None:
        """Count the tokens of a prompt before it is cleaned, None where nobody can say."""
        try:
            return None if self._folder is None else len(tokenize(self._folder.tokenizer, prompt))
        except ImportError:
            return None
        except WeightsError as error:
            raise damage_error(error) from error

    def find_doubts(self, shots: tuple[Shot, ...]) -> list[str]:
        """Say nothing: the encoder reads every language that it was trained on."""
        return []

    def chunk_bytes(self, size: Size) -> int:
        """Return what a second of finished video takes on disk, about."""
        return round(size.width * size.height * SECOND_BYTES_PER_PIXEL)

    def state_bytes(self, size: Size) -> int:
        """Return what a state takes on disk at most: keys, and latents that are decoded again."""
        config, window = self._config, window_of(self._config)
        tokens = frame_tokens(config.model, (size.height, size.width), self.geometry.pixels)
        channels, _, rows, columns = self.geometry.shape(size.height, size.width)
        frames = WanVAEConfig().decoder_frames + 2 * config.causal.block_frames
        latents = TAIL_NUMBER * channels * frames * rows * columns
        return key_bytes(config.model, window * tokens) + latents

    def plan(
        self, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> MemoryUse | None:
        """Return how it will be held for a request; None where nobody knows what is free.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        assert isinstance(options, WanCausalOptions)
        size = size_of(request, self._config.size)
        return self._fitting(request, options).use(options.device, size, free)

    def demand(self, request: VideoRequest, options: EngineOptions) -> object:
        """Return what decides how it is held."""
        assert isinstance(options, WanCausalOptions)
        size = size_of(request, self._config.size)
        return size, request.n, options.window, options.device, options.text_precision

    def load(
        self, *, threads: int, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> "Engine":
        """Load the weights.

        Raises:
            StorageError: They are missing, damaged, or do not fit their description.
            BackendUnavailableError: They do not fit into this machine.
        """
        from media_agent_magi.wan_causal.loader import load_wan_causal

        assert isinstance(options, WanCausalOptions)
        if self._folder is None:
            raise StorageError(f"{BACKEND}/{self.model} needs {self._missing}")
        size = size_of(request, self._config.size)
        device, holding = self._fitting(request, options).hold(options.device, size, free)
        try:
            return load_wan_causal(
                self._folder,
                f"{BACKEND}/{self.model}",
                holding,
                device=device,
                options=options,
                texts=self._kept and self._kept / "texts",
                threads=threads,
            )
        except WeightsError as error:
            raise damage_error(error) from error

    def _fitting(self, request: VideoRequest, options: WanCausalOptions) -> Fitting:
        def sizes(size: tuple[int, int], device: str) -> ModelSizes:
            return self._sizes(size, request.n, options, device)

        window = window_of(self._chosen(options))
        return Fitting(f"{BACKEND}/{self.model}", sizes, SIDES.start, SIDES.step, window)

    def _sizes(
        self, size: tuple[int, int], videos: int, options: WanCausalOptions, device: str
    ) -> ModelSizes:
        text, vae = count_numbers(UMT5_XXL.table()), None
        if self._folder is not None:
            text, vae = self._parts
        return wan_sizes(
            self._chosen(options),
            size,
            videos=videos,
            number=FULL if device == "cpu" else HALF,
            text_bytes=text * TEXT_BYTES[options.text_precision],
            vae=vae,
            fixed_window=options.window is not None,
            moves=device != "cpu",
        )

    def _chosen(self, options: WanCausalOptions) -> WanCausalConfig:
        return replace(self._config, causal=chosen(self._config.causal, options.choices()))

    @cached_property
    def _parts(self) -> tuple[int, WanVAEConfig]:
        """The numbers of the text encoder, and the sizes of the autoencoder."""
        assert self._folder is not None
        return count_numbers(self._folder.text().sizes().table()), self._folder.read_vae()[1]
