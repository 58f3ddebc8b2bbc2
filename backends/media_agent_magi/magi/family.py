"""MAGI-1 as a family of the backend. No torch until it is loaded."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.local import describe_missing
from media_agent.errors import InvalidRequestError, StorageError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.generating.options import EngineOptions
from media_agent_magi.loading.cleaning import find_deleted, is_readable
from media_agent_magi.loading.damage import damage_error
from media_agent_magi.loading.device import is_extended, size_of
from media_agent_magi.loading.fitting import Fitting
from media_agent_magi.loading.memory import TEXT_BYTES, ModelSizes
from media_agent_magi.loading.tokenizer import tokenize
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.magi.options import MagiOptions, declare_options
from media_agent_magi.magi.sizes import FULL, HALF, T5_PARAMETERS, VAE_PARAMETERS, magi_sizes
from media_agent_schemas.capabilities import CancelRule, Capabilities, Control
from media_agent_schemas.estimate import MemoryUse
from media_agent_schemas.facts import SizeRange, Verification, VerificationLevel
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import Shot, VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent_magi.generating.engine import Engine
    from media_agent_magi.magi.compiled import Compiling

LICENCE = "Apache-2.0"
MULTIPLE, SMALLEST, LARGEST = 16, 64, 2560  # pixels
LIBRARIES = ("torch", "safetensors", "transformers", "diffusers", "ftfy", "bs4", "sentencepiece")
CHUNK_BYTES_PER_PIXEL = 2.5
TAIL_CHUNKS = 4
TOKENS_IN_FRONT = 2
STATE_NUMBER = 4  # bytes


class MagiFamily:
    """The weights in one folder, or those that could be fetched under a released name."""

    def __init__(
        self,
        model: str,
        config: MagiConfig,
        folder: MagiFolder | None = None,
        *,
        kept: Path | None = None,
        missing: str | None = None,
    ) -> None:
        """Take the settings; `missing` says how to get weights that are not here.

        `kept` is the folder for encoded prompts and compiled code.
        """
        self.model, self._config, self._folder = model, config, folder
        self._kept, self._missing = kept, missing

    @property
    def geometry(self) -> Geometry:
        """How its latents lie in time and space."""
        return self._config.geometry

    @cached_property
    def _capabilities(self) -> Capabilities:
        config, missing = self._config, self._missing
        rows, columns = config.size
        return Capabilities(
            backend="magi",
            model=self.model,
            models=(self.model,),
            description=f"native chunk engine, MAGI-1 weights, {config.kind}",
            size_range=SizeRange(
                minimum=Size(width=SMALLEST, height=SMALLEST),
                maximum=Size(width=LARGEST, height=LARGEST),
                multiple=MULTIPLE,
            ),
            default_size=Size(width=columns, height=rows),
            fps_values=(float(config.fps),),
            default_fps=float(config.fps),
            default_duration=4.0,
            modes=(
                VideoMode.TEXT_TO_VIDEO,
                VideoMode.IMAGE_TO_VIDEO,
                VideoMode.VIDEO_EXTEND,
                VideoMode.VIDEO_EDIT,
            ),
            input_roles=(InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO),
            endless=True,
            chunk_seconds=self.geometry.chunk_frames / config.fps,
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
            missing=missing or describe_missing("magi-weights", *LIBRARIES),
        )

    def capabilities(self) -> Capabilities:
        """Say what it can do."""
        return self._capabilities

    def read_options(self, given: Mapping[str, Any]) -> MagiOptions:
        """Read the options of a request."""
        return MagiOptions.model_validate(given)

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that is too long, or of which cleaning leaves nothing."""
        label = f"magi/{self.model}"
        if not is_readable(prompt):
            raise InvalidRequestError(
                f"{label} reads nothing of {prompt[:40]!r}: Chinese characters are deleted "
                "before the text encoder, as in its training",
                hint="write the prompt in English",
            )
        longest = self._config.model.caption_max_length - TOKENS_IN_FRONT
        count = self._count_tokens(prompt)
        if count is not None and count > longest:
            raise InvalidRequestError(
                f"prompt {prompt[:40]!r}... has {count} tokens; {label} reads {longest}",
                hint="say it shorter",
            )

    def _count_tokens(self, prompt: str) -> int | None:
        """Count the tokens of a prompt before it is cleaned, None where nobody can say."""
        try:
            return None if self._folder is None else len(tokenize(self._folder.text, prompt))
        except ImportError:
            return None
        except WeightsError as error:
            raise damage_error(error) from error

    def find_doubts(self, shots: tuple[Shot, ...]) -> list[str]:
        """Say of which prompts a part is deleted before it is read."""
        found = {shot.prompt: find_deleted(shot.prompt) for shot in shots}
        return [
            f"{deleted[:20]!r} is deleted from {prompt[:60]!r}: the text encoder of MAGI-1 was "
            "trained without Chinese characters"
            for prompt, deleted in found.items()
            if deleted
        ]

    def chunk_bytes(self, size: Size) -> int:
        """Return what a second of finished video takes on disk, about."""
        return round(size.width * size.height * CHUNK_BYTES_PER_PIXEL)

    def state_bytes(self, size: Size) -> int:
        """Return what a state takes on disk at most: latents and captions, no keys."""
        config, model = self._config, self._config.model
        channels, frames, rows, columns = self.geometry.shape(size.height, size.width)
        window = config.sampler.window_size
        latents = (window + 1 + TAIL_CHUNKS) * channels * frames * rows * columns
        captions = window * model.caption_max_length * (model.caption_channels + 1)
        return STATE_NUMBER * (latents + captions)

    def plan(
        self, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> MemoryUse | None:
        """Return how it will be held for a request; None where nobody knows what is free.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        assert isinstance(options, MagiOptions)
        size = size_of(request, self._config.size)
        return self._fitting(request, options).use(options.device, size, free)

    def demand(self, request: VideoRequest, options: EngineOptions) -> object:
        """Return what decides how it is held."""
        assert isinstance(options, MagiOptions)
        context = options.context_frames if is_extended(request) else None
        size = size_of(request, self._config.size)
        numbers = options.text_precision, options.compile, options.attention
        return size, request.n, context, options.device, *numbers

    def load(
        self, *, threads: int, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> "Engine":
        """Load the weights.

        Raises:
            StorageError: They are missing, damaged, or do not fit their description.
            BackendUnavailableError: They do not fit into this machine.
        """
        from media_agent_magi.magi.loader import load_magi

        assert isinstance(options, MagiOptions)
        if self._folder is None:
            raise StorageError(f"magi/{self.model} needs {self._missing}")
        size = size_of(request, self._config.size)
        device, holding = self._fitting(request, options).hold(options.device, size, free)
        try:
            return load_magi(
                self._folder,
                f"magi/{self.model}",
                holding,
                device=device,
                precision=options.text_precision,
                texts=self._kept and self._kept / "texts",
                threads=threads,
                compiling=self._compiling(request, options, device),
                attention=options.attention,
            )
        except WeightsError as error:
            raise damage_error(error) from error

    def _compiling(
        self, request: VideoRequest, options: MagiOptions, device: str
    ) -> "Compiling | None":
        """Return what is compiled before the first video; None: nothing."""
        from media_agent_magi.magi.compiled import Compiling

        if not options.compiles(device):
            return None
        kept = self._kept and self._kept / "compiled"
        shape = self.geometry.shape(*size_of(request, self._config.size))
        return Compiling(shape, request.n, kept, required=options.compile == "on")

    def _fitting(self, request: VideoRequest, options: MagiOptions) -> Fitting:
        def sizes(size: tuple[int, int], device: str) -> ModelSizes:
            return self._sizes(request, options, size)

        window = self._config.sampler.window_size
        return Fitting(f"magi/{self.model}", sizes, SMALLEST, MULTIPLE, window)

    def _sizes(
        self, request: VideoRequest, options: MagiOptions, size: tuple[int, int]
    ) -> ModelSizes:
        context = options.context_frames or self.geometry.chunk_frames
        text, vae = T5_PARAMETERS, HALF * VAE_PARAMETERS
        if self._folder is not None:
            text, vae = self._parts
        return magi_sizes(
            self._config,
            size,
            prefix_chunks=context // self.geometry.chunk_frames if is_extended(request) else 0,
            has_fp8=self._folder is None and not self._config.quantised and self._config.distilled,
            text_bytes=text * TEXT_BYTES[options.text_precision],
            vae_bytes=vae,
            videos=request.n,
        )

    @cached_property
    def _parts(self) -> tuple[int, int]:
        """The numbers of the text encoder of the folder, and what its autoencoder takes."""
        assert self._folder is not None
        text = sum(f.stat().st_size for f in self._folder.text.iterdir() if is_weights(f))
        return text // FULL, self._folder.read_vae().bytes // 2  # released as float32


def is_weights(file: Path) -> bool:
    """Whether a file holds weights."""
    return file.suffix in (".safetensors", ".bin")
