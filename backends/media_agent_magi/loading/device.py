"""Where a request computes. No torch here."""

import re

from media_agent.backend.free_memory import FreeMemory
from media_agent.errors import InvalidRequestError
from media_agent_magi.loading.memory import GIB
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoMode, VideoRequest

SMALL = GIB
"""Bytes of weights up to which a CPU is taken without being asked for."""


def choose_device(asked: str, free: FreeMemory, weights: int) -> str | None:
    """Return where to compute; None: there may be a GPU, and nobody knows what it has free.

    Args:
        asked: The option of the request; "auto" leaves it open.
        free: What this machine has free.
        weights: What they take.

    Raises:
        InvalidRequestError: There is no such device.
    """
    if re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", asked, re.ASCII) is None:
        raise InvalidRequestError(
            f"option device = {asked!r} is no device", hint="give auto, cpu, cuda or cuda:1"
        )
    if asked != "auto":
        return asked
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


def size_of(request: VideoRequest, usual: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of pixels; `usual` where the request leaves them open."""
    size = request.size
    return usual if not isinstance(size, Size) else (size.height, size.width)


def declare_placement(device: str, text_precision: str) -> tuple[OptionSpec, ...]:
    """Return the options that say where a model computes, and how its text encoder does."""
    return (
        OptionSpec(
            name="device",
            type="string",
            default=device,
            description="Where it computes: auto, cpu, cuda or cuda:1.",
        ),
        OptionSpec(
            name="text_precision",
            type="string",
            default=text_precision,
            choices=("bfloat16", "float32", "int8"),
            description="Numbers of the text encoder; int8 takes half the memory of bfloat16.",
        ),
    )
