"""Which lengths and frame rates a model makes, from its capabilities alone."""

import math

from media_agent_schemas.capabilities import FALLBACK_FPS, FALLBACK_SECONDS, Capabilities
from media_agent_schemas.request import VideoMode, VideoRequest


def choose_fps(asked: float | None, capabilities: Capabilities) -> float:
    """Return the supported frame rate nearest to the requested one; default: the model's own."""
    if asked is None:
        return capabilities.default_fps or _find_nearest_fps(FALLBACK_FPS, capabilities)
    return _find_nearest_fps(asked, capabilities)


def choose_seconds(capabilities: Capabilities, fps: float | None = None) -> float:
    """Return the length of a video when none is requested, at this rate or the model's own."""
    fps = choose_fps(fps, capabilities)
    limits = capabilities.at_rate(fps)
    return limits.default_duration or fit_seconds(FALLBACK_SECONDS, limits, fps)


def find_longest_shot(capabilities: Capabilities, fps: float | None = None) -> float | None:
    """Return the longest video that one submission makes, in seconds, None if nothing ends it.

    It is that at this frame rate, or at the model's own.
    """
    if capabilities.durations:
        return max(capabilities.durations)
    return capabilities.at_rate(choose_fps(fps, capabilities)).max_duration


def format_longest_shot(capabilities: Capabilities, fps: float | None = None) -> str:
    """Return the most that one submission makes, in words; in frames where they are the limit."""
    longest = find_longest_shot(capabilities, fps)
    if longest is None:
        return "one shot"
    frames = capabilities.max_frames
    if not capabilities.durations and frames is not None and longest != capabilities.max_duration:
        return f"at most {frames} frames ({longest:.4g} s)"
    return f"at most {longest:g} s"


def format_frames(capabilities: Capabilities) -> str:
    """Return how many frames a model makes at once: "25", "2 to 25", "at least 5"."""
    least, most = capabilities.min_frames or 1, capabilities.max_frames
    if most is None:
        return f"at least {least}"
    return f"{most}" if least == most else f"{least} to {most}"


def lift_limit(capabilities: Capabilities, mode: VideoMode) -> Capabilities:
    """Return what holds for one kind of work: window by window, nothing ends a video."""
    if capabilities.windows is None or mode not in capabilities.windows.modes:
        return capabilities
    return capabilities.model_copy(update={"max_duration": None, "max_frames": None})


def count_windows(request: VideoRequest, capabilities: Capabilities) -> int:
    """Return in how many windows a model makes what a plan sends; most models make all at once."""
    windows, frames, mode = capabilities.windows, request.num_frames, request.infer_mode()
    if windows is None or mode not in windows.modes or frames is None or request.fps is None:
        return 1
    if mode is VideoMode.VIDEO_EXTEND:
        return math.ceil(frames / windows.further_frames)
    longest = find_longest_shot(capabilities, request.fps)
    if longest is None or frames / request.fps <= longest + 1e-6:
        return 1
    return 1 + math.ceil((frames - windows.first_frames) / windows.further_frames)


def fits_one_shot(request: VideoRequest, capabilities: Capabilities) -> bool:
    """Return whether one submission can be as long, and have as many shots, as asked."""
    if request.endless and capabilities.endless is False:
        return False
    if capabilities.max_shots is not None and len(request.shots) > capabilities.max_shots:
        return False
    fps = choose_fps(request.fps, capabilities)
    longest = find_longest_shot(lift_limit(capabilities, request.infer_mode()), fps)
    if longest is None or request.endless:
        return True
    return find_wanted_seconds(request, fps, capabilities) < longest + 1 / fps


def choose_segment_frames(capabilities: Capabilities, fps: float, wanted: int | None) -> int:
    """Return the fewest frames at least as many as wanted, else the most, that one part can have.

    None is the most. A model whose parts nothing ends makes what is wanted.
    """
    if capabilities.durations:
        sizes = sorted({round(seconds * fps) for seconds in capabilities.durations})
        fitting = [size for size in sizes if wanted is not None and size >= wanted]
        return fitting[0] if fitting else sizes[-1]
    step, offset = capabilities.frame_multiple, capabilities.frame_offset
    limits, most = capabilities.at_rate(fps), None
    if limits.max_duration is not None:
        most = (math.floor(limits.max_duration * fps + 1e-6) - offset) // step * step + offset
    if wanted is None:
        return most if most is not None else round(choose_seconds(capabilities, fps) * fps)
    least = max(wanted, math.ceil((limits.min_duration or 0.0) * fps - 1e-6), 1)
    frames = max(0, math.ceil((least - offset) / step)) * step + offset
    return frames if most is None else max(1, min(frames, most))


def find_wanted_seconds(request: VideoRequest, fps: float, capabilities: Capabilities) -> float:
    """Return the length asked in seconds; what is left open is as long as the model likes.

    Frames and a rate together are a length: at another rate the number of frames changes.
    """
    if request.num_frames is not None:
        return request.num_frames / (request.fps or fps)
    seconds = request.seconds()
    if seconds is not None:
        return seconds
    timed = sum(shot.duration for shot in request.shots if shot.duration is not None)
    return timed + choose_seconds(capabilities, fps)


def find_wanted_frames(request: VideoRequest, fps: float, capabilities: Capabilities) -> int:
    """Return the length asked in frames."""
    return max(1, round(find_wanted_seconds(request, fps, capabilities) * fps))


def fit_seconds(asked: float, capabilities: Capabilities, fps: float) -> float:
    """Return the shortest length that is long enough, else the longest there is."""
    if capabilities.durations:
        enough = asked - compute_frame_step(capabilities, fps)
        fitting = [each for each in capabilities.durations if each >= enough]
        return min(fitting, default=max(capabilities.durations))
    if capabilities.max_duration is not None:
        asked = min(asked, capabilities.max_duration)
    return max(asked, capabilities.min_duration or 0.0)


def compute_frame_step(capabilities: Capabilities, fps: float) -> float:
    """Return how many seconds lie between two lengths of the model's own frame rule.

    Nothing is cut by more: a video that is shorter than it was asked is another one, and is paid.
    """
    return capabilities.frame_multiple / fps + 1e-9


def _find_nearest_fps(asked: float, capabilities: Capabilities) -> float:
    if capabilities.fps_values:
        return min(capabilities.fps_values, key=lambda value: abs(value - asked))
    if capabilities.fps_range is not None:
        return min(max(asked, capabilities.fps_range.minimum), capabilities.fps_range.maximum)
    return asked
