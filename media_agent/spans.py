"""How long a film is wanted, how long one submission can make it, and what lengths a part has."""

import math

from media_agent.lengths import longest_shot, usual_fps, usual_seconds
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.request import VideoRequest


def fits_one_shot(request: VideoRequest, limits: Capabilities) -> bool:
    """Return whether one submission can be as long, and have as many shots, as asked."""
    if request.endless and limits.endless is False:
        return False
    if limits.max_shots is not None and len(request.shots) > limits.max_shots:
        return False
    longest = longest_shot(limits)
    if longest is None or request.endless:
        return True
    fps = usual_fps(request.fps, limits)
    return wanted_seconds(request, fps, limits) < longest + 1 / fps


def piece_frames(limits: Capabilities, fps: float, wanted: int | None) -> int:
    """Return the fewest frames at least as many as wanted, else the most, that one part can have.

    None is the most. A model whose parts nothing ends makes what is wanted.
    """
    if limits.durations:
        sizes = sorted({round(seconds * fps) for seconds in limits.durations})
        fitting = [size for size in sizes if wanted is not None and size >= wanted]
        return fitting[0] if fitting else sizes[-1]
    step, offset = limits.frame_multiple, limits.frame_offset
    most = None
    if limits.max_duration is not None:
        most = (math.floor(limits.max_duration * fps + 1e-6) - offset) // step * step + offset
    if wanted is None:
        return most if most is not None else round(usual_seconds(limits) * fps)
    least = max(wanted, math.ceil((limits.min_duration or 0.0) * fps - 1e-6), 1)
    frames = max(0, math.ceil((least - offset) / step)) * step + offset
    return frames if most is None else max(1, min(frames, most))


def wanted_seconds(request: VideoRequest, fps: float, limits: Capabilities) -> float:
    """Return the length asked in seconds; what is left open is as long as the model likes."""
    if request.num_frames is not None:
        return request.num_frames / fps
    seconds = request.seconds()
    if seconds is not None:
        return seconds
    timed = sum(shot.duration for shot in request.shots if shot.duration is not None)
    return timed + usual_seconds(limits)


def wanted_frames(request: VideoRequest, fps: float, limits: Capabilities) -> int:
    """Return the length asked in frames."""
    return max(1, round(wanted_seconds(request, fps, limits) * fps))
