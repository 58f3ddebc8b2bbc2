"""What a family of weights has to be for the backend. No torch here; `load` may import it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from media_agent.backend.free_memory import FreeMemory
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.generating.options import EngineOptions
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import MemoryUse
from media_agent_schemas.media import Size
from media_agent_schemas.request import Shot, VideoRequest

if TYPE_CHECKING:
    from media_agent_magi.generating.engine import Engine


class WeightsError(ValueError):
    """Weights that are missing, damaged, or do not fit their description."""


class Guidance(Protocol):
    """How strongly text and history pull on the chunks of a video."""

    def facts(self) -> dict[str, Any]:
        """Return its numbers; a state continues with the same ones only."""
        ...

    def table(self, *, is_first: bool, is_new: bool) -> GuidanceTable:
        """Return the table of a chunk.

        Args:
            is_first: No chunk comes before it.
            is_new: Its prompt is not that of the chunk before.
        """
        ...


class Family(Protocol):
    """Weights that make videos chunk by chunk: what they can do, and how they are loaded."""

    @property
    def model(self) -> str:
        """Its name, after that of the backend."""
        ...

    @property
    def geometry(self) -> Geometry:
        """How its latents lie in time and space."""
        ...

    def capabilities(self) -> Capabilities:
        """Say what it can do; the backend adds which other models there are."""
        ...

    def read_options(self, given: Mapping[str, Any]) -> EngineOptions:
        """Read the options of a request, as the capabilities declare them."""
        ...

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that the text encoder cannot read whole.

        Raises:
            InvalidRequestError: Which prompt, and what to do.
        """
        ...

    def find_doubts(self, shots: tuple[Shot, ...]) -> list[str]:
        """Say which prompts it will probably not follow, and why; they are sent all the same."""
        ...

    def chunk_bytes(self, size: Size) -> int:
        """Return what a second of finished video takes on disk, about."""
        ...

    def state_bytes(self, size: Size) -> int:
        """Return what a state takes on disk at most."""
        ...

    def plan(
        self, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> MemoryUse | None:
        """Return how it will be held in memory for a request; None where there is nothing to plan.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        ...

    def demand(self, request: VideoRequest, options: EngineOptions) -> object:
        """Return what decides how it is held; loaded for an equal demand, it fits.

        None: it is held in one way.
        """
        ...

    def load(
        self, *, threads: int, request: VideoRequest, options: EngineOptions, free: FreeMemory
    ) -> "Engine":
        """Load the weights.

        Args:
            threads: Of the CPU, that make its videos.
            request: What they are loaded for.
            options: Those of the request.
            free: What this machine has free.

        Raises:
            StorageError: They are missing, damaged, or do not fit their description.
            BackendUnavailableError: They do not fit into this machine.
        """
        ...
