"""Where a request computes, and what of it decides how a model is held. No torch here."""

from media_agent.backend.free_memory import FreeMemory
from media_agent_magi.loading.memory import GIB
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.options import MagiOptions
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoMode, VideoRequest

SMALL = GIB
"""Bytes of weights up to which a CPU is taken without being asked for."""


def choose_device(options: MagiOptions, free: FreeMemory, weights: int) -> str | None:
    """Return where to compute; None: there may be a GPU, and nobody knows what it has free.

    Raises:
        BackendUnavailableError: There is no GPU, and the model is too large for a CPU.
    """
    if options.device != "auto":
        return options.device
    if free.main_bytes is None or free.gpus:
        return "cuda" if free.gpus else None
    if free.gpus is None and weights > SMALL:
        return None
    if weights <= SMALL:
        return "cpu"
    return "cuda"  # refused there: nothing is free


def is_extended(request: VideoRequest) -> bool:
    """Whether a request continues a video."""
    return request.infer_mode() is VideoMode.VIDEO_EXTEND


def name_device(device: str) -> str:
    """Return how a device is called in messages."""
    return "this CPU" if device == "cpu" else "a GPU"


def gpu_index(device: str) -> int:
    """Return the number of a GPU."""
    return int(device.partition(":")[2] or 0)


def size_of(request: VideoRequest, config: MagiConfig) -> tuple[int, int]:
    """Return rows and columns of pixels."""
    size = request.size
    return config.size if not isinstance(size, Size) else (size.height, size.width)
