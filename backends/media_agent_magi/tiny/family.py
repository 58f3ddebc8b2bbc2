"""magi/tiny as a family of the backend. No torch until it is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.local import describe_missing
from media_agent.errors import InvalidRequestError, StorageError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.generating.options import EngineOptions, common_options
from media_agent_magi.tiny.config import GEOMETRY, LABEL
from media_agent_magi.tiny.description import WEIGHTS, TinyDescription
from media_agent_magi.world.captions import parse, tokenize
from media_agent_magi.world.scene import CHUNK_FRAMES, FPS, SIZE
from media_agent_schemas.capabilities import CancelRule, Capabilities, Control
from media_agent_schemas.estimate import MemoryUse
from media_agent_schemas.facts import OptionSpec, Verification, VerificationLevel
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import Shot, VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent_magi.generating.engine import Engine

STEPS = (8, 16, 32)
CHUNK_BYTES = 20_000  # of a second of video, as measured
STATE_BYTES = 500_000  # of what the next chunk is made from, less where it is computed in bfloat16


class TinyFamily:
    """The calibration model: shapes in a 64x64 world."""

    model: str = "tiny"
    geometry: Geometry = GEOMETRY

    def __init__(self, weights: Path = WEIGHTS) -> None:
        """Read the description of the weights.

        Raises:
            StorageError: It is missing or damaged.
        """
        self._weights = weights
        try:
            self._description = TinyDescription.read(weights)
        except WeightsError as error:
            raise damage_error(error) from error

    def capabilities(self) -> Capabilities:
        """Say what magi/tiny can do."""
        square = Size(width=SIZE, height=SIZE)
        description = self._description
        return Capabilities(
            backend="magi",
            model=self.model,
            models=(self.model,),
            description="native chunk engine, calibration model: shapes in a 64x64 world",
            sizes=(square,),
            default_size=square,
            fps_values=(float(FPS),),
            default_fps=float(FPS),
            default_duration=4.0,
            modes=(
                VideoMode.TEXT_TO_VIDEO,
                VideoMode.IMAGE_TO_VIDEO,
                VideoMode.VIDEO_EXTEND,
                VideoMode.VIDEO_EDIT,
            ),
            input_roles=(InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO),
            endless=True,
            chunk_seconds=CHUNK_FRAMES / FPS,
            max_shots=None,
            max_n=16,
            max_prompt_words=description.model.caption_max_length,
            closed_vocabulary=description.words,
            seed=True,
            controls=(Control.CHANGE_PROMPT, Control.FINISH),
            cancel_rule=CancelRule.STOPS,
            resumable=True,
            extends=True,
            streams=True,
            lookup="key",
            resubmits=True,
            options=declare_options(description),
            verification=Verification(
                level=VerificationLevel.PARITY,
                note="engine checked against golden data; weights trained by this project",
            ),
            weights_sha256=description.sha256,
            licence="Apache-2.0",
            local=True,
            reads_urls=False,
            missing=describe_missing("magi", "torch", "safetensors", "numpy"),
        )

    def read_options(self, given: Mapping[str, Any]) -> EngineOptions:
        """Read the options of a request."""
        return EngineOptions.model_validate(given)

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt with more words than the model reads."""
        longest, words = self._description.model.caption_max_length, len(tokenize(prompt))
        if words > longest:
            raise InvalidRequestError(
                f"prompt {prompt[:40]!r}... has {words} words; {LABEL} reads {longest}",
                hint="say it shorter, or choose another backend",
            )

    def find_doubts(self, shots: tuple[Shot, ...]) -> list[str]:
        """Say which prompts have known words but no clear meaning in this world."""
        found = []
        for shot in shots:
            try:
                parse(shot.prompt)
            except ValueError as error:
                found.append(f"{LABEL} may not follow {shot.prompt[:60]!r}: {error}")
        return found

    def chunk_bytes(self, size: Size) -> int:
        """Return what a second of finished video takes on disk."""
        return CHUNK_BYTES

    def state_bytes(self, size: Size) -> int:
        """Return what a state takes on disk at most."""
        return STATE_BYTES

    def plan(
        self, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> MemoryUse | None:
        """Return None: it needs 100 MB of main memory."""
        return None

    def demand(self, request: VideoRequest, options: EngineOptions) -> object:
        """Return None: it is held in one way."""
        return None

    def load(
        self, *, threads: int, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> "Engine":
        """Load the weights.

        Raises:
            StorageError: They are missing, damaged, or do not fit their description.
        """
        from media_agent_magi.tiny.loader import load_tiny

        try:
            return load_tiny(self._weights, threads=threads)
        except WeightsError as error:
            raise damage_error(error) from error


def damage_error(error: WeightsError) -> StorageError:
    """Say that the weights cannot be used, and what to do."""
    return StorageError(str(error), hint="install media-agent again to restore its weights")


def declare_options(description: TinyDescription) -> tuple[OptionSpec, ...]:
    """Declare the options of magi/tiny."""
    used = description.guidance
    return common_options(
        steps=STEPS,
        usual_steps=description.sampler.num_steps,
        guidance=f"{used.first:g} first, {used.switch:g} after a change, {used.steady:g} otherwise",
        shape="square",
        state="Each takes up to 0.5 MB, near the start of a video up to 0.8 MB.",
        chunk=CHUNK_FRAMES,
    )
