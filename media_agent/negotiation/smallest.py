"""The smallest request that a model takes: what a check asks for, so that it costs little."""

from media_agent.negotiation.possible_lengths import choose_fps
from media_agent.negotiation.prompts import find_unknown_words
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier, Size
from media_agent_schemas.request import VideoMode, VideoRequest

PROMPT = "a red circle moving right on a black background"
_SECONDS = 0.5  # where the model names no shortest length
_IMAGE = Size(width=256, height=256)


def smallest_request(capabilities: Capabilities) -> VideoRequest:
    """Return the shortest video of the smallest frames, in words the model knows, with seed 0."""
    fields: dict[str, object] = {
        "model": f"{capabilities.backend}/{capabilities.model}",
        "prompt": _choose_prompt(capabilities),
        "duration": _choose_seconds(capabilities),
        "size": _choose_size(capabilities),
    }
    if capabilities.seed is not False:
        fields["seed"] = 0
    if fields["size"] is None and capabilities.resolutions:
        fields["resolution"] = min(capabilities.resolutions, key=list(ResolutionTier).index)
    if VideoMode.TEXT_TO_VIDEO not in capabilities.modes:
        fields["inputs"] = (_make_image(capabilities),)
    return VideoRequest.model_validate(fields)


def _choose_prompt(capabilities: Capabilities) -> str:
    known = capabilities.closed_vocabulary
    if known is None or not find_unknown_words([PROMPT], known):
        return PROMPT
    return " ".join(known[:4])


def _choose_seconds(capabilities: Capabilities) -> float:
    if capabilities.durations:
        return min(capabilities.durations)
    limits = capabilities.at_rate(choose_fps(None, capabilities))
    shortest = limits.min_duration or capabilities.chunk_seconds or _SECONDS
    longest = limits.max_duration
    return shortest if longest is None else min(shortest, longest)


def _choose_size(capabilities: Capabilities) -> Size | None:
    if capabilities.sizes:
        return min(capabilities.sizes, key=lambda size: size.width * size.height)
    return None if capabilities.size_range is None else capabilities.size_range.minimum


def _make_image(capabilities: Capabilities) -> MediaInput:
    """Return a plain image to begin with, for a model that needs one."""
    from media_agent.video.images import as_png, frame_of

    size = _choose_size(capabilities) or capabilities.default_size or _IMAGE
    brown = bytes((120, 60, 40)) * (size.width * size.height)
    content = as_png(frame_of(brown, size.width, size.height))
    return MediaInput(role=InputRole.FIRST_FRAME, data=content, mime_type="image/png")
