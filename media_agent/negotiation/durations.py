"""How long: frame rate, number of frames, lengths of shots and parts; what one submission makes."""

import math

from media_agent.errors import InvalidRequestError
from media_agent.negotiation.draft import NegotiationDraft
from media_agent.negotiation.storyboard import lay_out
from media_agent_schemas.capabilities import FALLBACK_FPS, FALLBACK_SECONDS, Capabilities
from media_agent_schemas.request import Shot, VideoMode, VideoRequest


def resolve_length(draft: NegotiationDraft) -> None:
    """Settle fps, duration, num_frames, endless and the length of every shot.

    Raises:
        InvalidRequestError: less than one frame, or shots that do not fit into the whole.
    """
    fps = _resolve_fps(draft)
    total = None if _stays_endless(draft) else _resolve_frames(draft, fps)
    asked = draft.request
    if asked.num_frames is not None and asked.fps not in (None, fps):
        reason = f"the requested length at {fps:g} frames per second"
        draft.note("num_frames", asked.num_frames, total, reason)
    draft.resolved |= {"fps": fps, "num_frames": total, "endless": total is None}
    if draft.request.shots:
        _resolve_shots(draft, fps, total)


def choose_fps(asked: float | None, capabilities: Capabilities) -> float:
    """Return the supported frame rate nearest to the requested one; default: the model's own."""
    if asked is None:
        return capabilities.default_fps or _find_nearest_fps(FALLBACK_FPS, capabilities)
    return _find_nearest_fps(asked, capabilities)


def choose_seconds(capabilities: Capabilities) -> float:
    """Return the length of a video when none is requested."""
    return capabilities.default_duration or fit_seconds(
        FALLBACK_SECONDS, capabilities, choose_fps(None, capabilities)
    )


def find_longest_shot(capabilities: Capabilities) -> float | None:
    """Return the longest video that one submission makes, in seconds, None if nothing ends it."""
    return max(capabilities.durations) if capabilities.durations else capabilities.max_duration


def lift_limit(capabilities: Capabilities, mode: VideoMode) -> Capabilities:
    """Return what holds for one kind of work: window by window, nothing ends a video."""
    if capabilities.windows is None or mode not in capabilities.windows.modes:
        return capabilities
    return capabilities.model_copy(update={"max_duration": None})


def count_windows(request: VideoRequest, capabilities: Capabilities) -> int:
    """Return in how many windows a model makes what a plan sends; most models make all at once."""
    windows, frames, mode = capabilities.windows, request.num_frames, request.infer_mode()
    if windows is None or mode not in windows.modes or frames is None or request.fps is None:
        return 1
    seconds = frames / request.fps
    if mode is VideoMode.VIDEO_EXTEND:
        return math.ceil(seconds / windows.further_seconds - 1e-6)
    if capabilities.max_duration is None or seconds <= capabilities.max_duration + 1e-6:
        return 1
    return 1 + math.ceil((seconds - windows.first_seconds) / windows.further_seconds - 1e-6)


def fits_one_shot(request: VideoRequest, capabilities: Capabilities) -> bool:
    """Return whether one submission can be as long, and have as many shots, as asked."""
    if request.endless and capabilities.endless is False:
        return False
    if capabilities.max_shots is not None and len(request.shots) > capabilities.max_shots:
        return False
    longest = find_longest_shot(lift_limit(capabilities, request.infer_mode()))
    if longest is None or request.endless:
        return True
    fps = choose_fps(request.fps, capabilities)
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
    most = None
    if capabilities.max_duration is not None:
        most = (math.floor(capabilities.max_duration * fps + 1e-6) - offset) // step * step + offset
    if wanted is None:
        return most if most is not None else round(choose_seconds(capabilities) * fps)
    least = max(wanted, math.ceil((capabilities.min_duration or 0.0) * fps - 1e-6), 1)
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
    return timed + choose_seconds(capabilities)


def find_wanted_frames(request: VideoRequest, fps: float, capabilities: Capabilities) -> int:
    """Return the length asked in frames."""
    return max(1, round(find_wanted_seconds(request, fps, capabilities) * fps))


def _resolve_fps(draft: NegotiationDraft) -> float:
    asked, capabilities = draft.request.fps, draft.capabilities
    used = choose_fps(asked, capabilities)
    if asked is None:
        draft.note("fps", None, used, "not given; the model's default")
    elif used != asked:
        draft.change("fps", asked, used, f"{draft.model} makes {_format_rates(capabilities)}")
    return used


def _find_nearest_fps(asked: float, capabilities: Capabilities) -> float:
    if capabilities.fps_values:
        return min(capabilities.fps_values, key=lambda value: abs(value - asked))
    if capabilities.fps_range is not None:
        return min(max(asked, capabilities.fps_range.minimum), capabilities.fps_range.maximum)
    return asked


def _format_rates(capabilities: Capabilities) -> str:
    if capabilities.fps_range is not None:
        rates = capabilities.fps_range
        return f"{rates.minimum:g} to {rates.maximum:g} frames per second"
    return f"{', '.join(f'{value:g}' for value in capabilities.fps_values)} frames per second"


def _stays_endless(draft: NegotiationDraft) -> bool:
    if not draft.request.endless:
        return False
    if draft.capabilities.endless is False:
        draft.refuse("endless", True, f"{draft.model} only makes videos of a fixed length")
        return False
    if draft.resolved["mode"] is VideoMode.VIDEO_EDIT:
        draft.refuse("endless", True, "a restyled video ends where its source ends")
        return False
    return True


def _resolve_frames(draft: NegotiationDraft, fps: float) -> int:
    name, asked = _find_asked_seconds(draft, fps)
    if asked * fps < 1 - 1e-9:
        raise InvalidRequestError(
            f"{name} {asked:g} s is less than one frame at {fps:g} frames per second",
            hint=f"ask for at least {1 / fps:.4f} s",
        )
    seconds = fit_seconds(asked, draft.capabilities, fps)
    frames, used = max(1, round(seconds * fps)), _round_frames(seconds * fps, fps, draft)
    if asked - used / fps > compute_frame_step(draft.capabilities, fps) and _has_length(
        draft.request
    ):
        said = draft.request.num_frames or asked
        draft.refuse(
            name, said, f"{draft.model} makes {_format_lengths(draft.capabilities)} at once"
        )
        return used
    if seconds != asked:
        draft.change(
            name, asked, seconds, f"{draft.model} makes {_format_lengths(draft.capabilities)}"
        )
    if used != frames:
        reason = (
            f"{draft.model} makes {_format_rule(draft.capabilities)} frames: {used}, not {frames}"
        )
        draft.change(name, seconds, used / fps, reason)
    elif abs(frames / fps - seconds) > 1e-9 * max(1.0, seconds):
        draft.note(name, seconds, frames / fps, f"whole frames at {fps:g} frames per second")
    return used


def _round_frames(wanted: float, fps: float, draft: NegotiationDraft) -> int:
    """Return the nearest number of frames that the model makes, the larger of two as near.

    A video that is restyled is not cut: the model fills it up with copies of its last frame.
    """
    capabilities = draft.capabilities
    multiple, offset = capabilities.frame_multiple, capabilities.frame_offset
    if (multiple, offset) == (1, 0):
        return max(1, round(wanted))
    least = math.ceil(max(1.0, (capabilities.min_duration or 0.0) * fps - 1e-6))
    is_whole = draft.request.infer_mode() is VideoMode.VIDEO_EDIT
    exact = (wanted - offset) / multiple
    steps = math.ceil(exact - 1e-3) if is_whole else math.floor(exact + 0.5)
    if capabilities.max_duration is not None:
        most = math.floor(capabilities.max_duration * fps + 1e-6)
        steps = min(steps, (most - offset) // multiple)
    return max(steps, math.ceil((least - offset) / multiple), 0) * multiple + offset


def _format_rule(capabilities: Capabilities) -> str:
    multiple, offset = capabilities.frame_multiple, capabilities.frame_offset
    return f"{multiple}k" if offset == 0 else f"{multiple}k+{offset}"


def _find_asked_seconds(draft: NegotiationDraft, fps: float) -> tuple[str, float]:
    """Return the field that says the length, and the length in seconds."""
    request, capabilities = draft.request, draft.capabilities
    if request.num_frames is not None:
        return "num_frames", find_wanted_seconds(request, fps, capabilities)
    if request.duration is not None:
        return "duration", request.duration
    whole = request.seconds()
    if whole is not None:
        return "shots", whole
    seconds = choose_seconds(capabilities)
    draft.note("duration", None, seconds, "not given; the model's default")
    return "duration", seconds


def _has_length(request: VideoRequest) -> bool:
    """Return whether the request has a length; else the model's default is used."""
    return request.num_frames is not None or request.seconds() is not None


def compute_frame_step(capabilities: Capabilities, fps: float) -> float:
    """Return how many seconds lie between two lengths of the model's own frame rule.

    Nothing is cut by more: a video that is shorter than it was asked is another one, and is paid.
    """
    return capabilities.frame_multiple / fps + 1e-9


def fit_seconds(asked: float, capabilities: Capabilities, fps: float) -> float:
    """Return the shortest length that is long enough, else the longest there is."""
    if capabilities.durations:
        enough = asked - compute_frame_step(capabilities, fps)
        fitting = [each for each in capabilities.durations if each >= enough]
        return min(fitting, default=max(capabilities.durations))
    if capabilities.max_duration is not None:
        asked = min(asked, capabilities.max_duration)
    return max(asked, capabilities.min_duration or 0.0)


def _format_lengths(capabilities: Capabilities) -> str:
    if capabilities.durations:
        return f"{', '.join(f'{value:g}' for value in capabilities.durations)} s"
    longest = (
        "any length" if capabilities.max_duration is None else f"{capabilities.max_duration:g} s"
    )
    return f"{capabilities.min_duration or 0:g} s to {longest}"


def _resolve_shots(draft: NegotiationDraft, fps: float, total: int | None) -> None:
    shots, capabilities = draft.request.shots, draft.capabilities
    if capabilities.max_shots is not None and len(shots) > capabilities.max_shots:
        draft.refuse("shots", len(shots), f"{draft.model} accepts at most {capabilities.max_shots}")
        return
    chunk = (
        None
        if capabilities.chunk_seconds is None
        else max(1, round(capabilities.chunk_seconds * fps))
    )
    layout = lay_out(shots, total=total, fps=fps, chunk=chunk)
    reason = "whole frames" if chunk is None else f"multiples of a chunk of {chunk / fps:g} s"
    resolved = []
    for index, (shot, frames) in enumerate(zip(shots, layout.frames, strict=True)):
        used = None if frames is None else frames / fps
        resolved.append(Shot(prompt=shot.prompt, duration=used))
        if shot.duration is None:
            draft.note(f"shots[{index}].duration", None, used, "the time the other shots leave")
        elif used is None or abs(used - shot.duration) > 1e-9:
            draft.change(f"shots[{index}].duration", shot.duration, used, reason)
    draft.resolved |= {"shots": tuple(resolved), "num_frames": layout.total}
    if layout.total is not None and total is not None and layout.total != total:
        draft.change("duration", total / fps, layout.total / fps, "every shot needs a chunk")
