"""What a task cost: tokens are billed, at a price that the settings know, or else the catalogue.

The catalogue has prices of seconds: those of a 16:9 video of the same resolution.
"""

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import number, text, value_at
from media_agent_schemas.events import Cost

_FPS, _PIXELS_A_TOKEN = 24, 1024
_FRAMES_2_5 = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
_FRAMES_2_0 = {**_FRAMES_2_5, "480p": (864, 496), "4k": (3840, 2160)}
"""The frames that are rendered at 16:9; those above 720p are the usual ones."""
_FRAMES = {"-2-5-": _FRAMES_2_5, "-2-0-": _FRAMES_2_0}


def billed(task: dict[str, JsonValue], usd_per_million_tokens: float | None = None) -> Cost | None:
    """Return what a task cost, in USD or else in seconds; None: it does not say, or neither."""
    tokens = number(value_at(task, "usage.completion_tokens"))
    tokens = number(value_at(task, "usage.total_tokens")) if tokens is None else tokens
    is_usual = text(task.get("service_tier")) in (None, "default")
    if tokens is None or tokens <= 0 or not is_usual:
        return None
    if usd_per_million_tokens is not None:
        usd = tokens * usd_per_million_tokens / 1_000_000
        return Cost(usd=usd, source="seedance, at the usd_per_million_tokens of the settings")
    model, resolution = text(task.get("model")) or "", text(task.get("resolution"))
    frames = next((each for part, each in _FRAMES.items() if part in model), {})
    size = frames.get(resolution or "")
    if size is None:
        return None
    width, height = size
    return Cost(seconds=tokens * _PIXELS_A_TOKEN / (width * height * _FPS), source="seedance")
