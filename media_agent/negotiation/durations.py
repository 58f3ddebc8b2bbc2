"""How long: frame rate, number of frames, lengths of shots and parts; what one submission makes."""

import math

from media_agent.errors import InvalidRequestError
from media_agent.negotiation.draft import Draft
from media_agent.negotiation.storyboard import lay_out
from media_agent_schemas.capabilities import FALLBACK_FPS, FALLBACK_SECONDS, Capabilities
from media_agent_schemas.request import Shot, VideoMode, VideoRequest


def settle_length(draft: Draft) -> None:
    """Settle fps, duration, num_frames, endless and the length of every shot.

    Raises:
        InvalidRequestError: less than one frame, or shots that do not fit into the whole.
    """
    fps = _settle_fps(draft)
    total = None if _stays_endless(draft) else _settle_frames(draft, fps)
    asked = draft.request
    if asked.num_frames is not None and asked.fps not in (None, fps):
        reason = f"as long as asked, at {fps:g} frames per second"
        draft.note("num_frames", asked.num_frames, total, reason)
    draft.settled |= {"fps": fps, "num_frames": total, "endless": total is None}
    if draft.request.shots:
        _settle_shots(draft, fps, total)


def usual_fps(asked: float | None, limits: Capabilities) -> float:
    """Return the frame rate that a wish comes to; absent: the model's own."""
    if asked is None:
        return limits.default_fps or _nearest_fps(FALLBACK_FPS, limits)
    return _nearest_fps(asked, limits)


def usual_seconds(limits: Capabilities) -> float:
    """Return the length of a film whose length nobody said."""
    return limits.default_duration or _allowed_seconds(
        FALLBACK_SECONDS, limits, usual_fps(None, limits)
    )


def longest_shot(limits: Capabilities) -> float | None:
    """Return the longest film that one submission makes, in seconds, None if nothing ends it."""
    return max(limits.durations) if limits.durations else limits.max_duration


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
    """Return the length asked in seconds; what is left open is as long as the model likes.

    Who said frames and a rate said how long: another rate makes another number of frames.
    """
    if request.num_frames is not None:
        return request.num_frames / (request.fps or fps)
    seconds = request.seconds()
    if seconds is not None:
        return seconds
    timed = sum(shot.duration for shot in request.shots if shot.duration is not None)
    return timed + usual_seconds(limits)


def wanted_frames(request: VideoRequest, fps: float, limits: Capabilities) -> int:
    """Return the length asked in frames."""
    return max(1, round(wanted_seconds(request, fps, limits) * fps))


def _settle_fps(draft: Draft) -> float:
    asked, limits = draft.request.fps, draft.capabilities
    used = usual_fps(asked, limits)
    if asked is None:
        draft.note("fps", None, used, "not given; the model's own rate")
    elif used != asked:
        draft.change("fps", asked, used, f"{draft.model} makes {_rates(limits)}")
    return used


def _nearest_fps(asked: float, limits: Capabilities) -> float:
    if limits.fps_values:
        return min(limits.fps_values, key=lambda value: abs(value - asked))
    if limits.fps_range is not None:
        return min(max(asked, limits.fps_range.minimum), limits.fps_range.maximum)
    return asked


def _rates(limits: Capabilities) -> str:
    if limits.fps_range is not None:
        return f"{limits.fps_range.minimum:g} to {limits.fps_range.maximum:g} frames per second"
    return f"{', '.join(f'{value:g}' for value in limits.fps_values)} frames per second"


def _stays_endless(draft: Draft) -> bool:
    if not draft.request.endless:
        return False
    if draft.capabilities.endless is False:
        draft.refuse("endless", True, f"{draft.model} makes films of a given length only")
        return False
    if draft.settled["mode"] is VideoMode.VIDEO_EDIT:
        draft.refuse("endless", True, "a film that is made anew ends where its source ends")
        return False
    return True


def _settle_frames(draft: Draft, fps: float) -> int:
    name, asked = _asked_seconds(draft, fps)
    if asked * fps < 1 - 1e-9:
        raise InvalidRequestError(
            f"{name} {asked:g} s is less than one frame at {fps:g} frames per second",
            hint=f"ask for at least {1 / fps:.4f} s",
        )
    seconds = _allowed_seconds(asked, draft.capabilities, fps)
    frames, used = max(1, round(seconds * fps)), _ruled_frames(seconds * fps, fps, draft)
    if asked - used / fps > _frame_step(draft.capabilities, fps) and _says_length(draft.request):
        said = draft.request.num_frames or asked
        draft.refuse(name, said, f"{draft.model} makes {_spans(draft.capabilities)} at once")
        return used
    if seconds != asked:
        draft.change(name, asked, seconds, f"{draft.model} makes {_spans(draft.capabilities)}")
    if used != frames:
        reason = f"{draft.model} makes {_rule(draft.capabilities)} frames: {used}, not {frames}"
        draft.change(name, seconds, used / fps, reason)
    elif abs(frames / fps - seconds) > 1e-9 * max(1.0, seconds):
        draft.note(name, seconds, frames / fps, f"whole frames at {fps:g} frames per second")
    return used


def _ruled_frames(wanted: float, fps: float, draft: Draft) -> int:
    """Return the nearest number of frames that the model makes, the larger of two as near."""
    limits = draft.capabilities
    multiple, offset = limits.frame_multiple, limits.frame_offset
    if (multiple, offset) == (1, 0):
        return max(1, round(wanted))
    least = math.ceil(max(1.0, (limits.min_duration or 0.0) * fps - 1e-6))
    steps = math.floor((wanted - offset) / multiple + 0.5)
    if limits.max_duration is not None:
        most = math.floor(limits.max_duration * fps + 1e-6)
        steps = min(steps, (most - offset) // multiple)
    return max(steps, math.ceil((least - offset) / multiple), 0) * multiple + offset


def _rule(limits: Capabilities) -> str:
    multiple, offset = limits.frame_multiple, limits.frame_offset
    return f"{multiple}k" if offset == 0 else f"{multiple}k+{offset}"


def _asked_seconds(draft: Draft, fps: float) -> tuple[str, float]:
    """Return the field that says the length, and the length in seconds."""
    request, limits = draft.request, draft.capabilities
    if request.num_frames is not None:
        return "num_frames", wanted_seconds(request, fps, limits)
    if request.duration is not None:
        return "duration", request.duration
    whole = request.seconds()
    if whole is not None:
        return "shots", whole
    seconds = usual_seconds(limits)
    draft.note("duration", None, seconds, "not given; the model's own length")
    return "duration", seconds


def _says_length(request: VideoRequest) -> bool:
    """Return whether the caller said how long; else it is as long as the model likes."""
    return request.num_frames is not None or request.seconds() is not None


def _frame_step(limits: Capabilities, fps: float) -> float:
    """Return how many seconds lie between two lengths of the model's own frame rule.

    Nothing is cut by more: a video that is shorter than it was asked is another one, and is paid.
    """
    return limits.frame_multiple / fps + 1e-9


def _allowed_seconds(asked: float, limits: Capabilities, fps: float) -> float:
    """Return the shortest length that is long enough, else the longest there is."""
    if limits.durations:
        enough = asked - _frame_step(limits, fps)
        fitting = [each for each in limits.durations if each >= enough]
        return min(fitting, default=max(limits.durations))
    if limits.max_duration is not None:
        asked = min(asked, limits.max_duration)
    return max(asked, limits.min_duration or 0.0)


def _spans(limits: Capabilities) -> str:
    if limits.durations:
        return f"{', '.join(f'{value:g}' for value in limits.durations)} s"
    longest = "any length" if limits.max_duration is None else f"{limits.max_duration:g} s"
    return f"{limits.min_duration or 0:g} s to {longest}"


def _settle_shots(draft: Draft, fps: float, total: int | None) -> None:
    shots, limits = draft.request.shots, draft.capabilities
    if limits.max_shots is not None and len(shots) > limits.max_shots:
        draft.refuse("shots", len(shots), f"{draft.model} takes at most {limits.max_shots}")
        return
    chunk = None if limits.chunk_seconds is None else max(1, round(limits.chunk_seconds * fps))
    layout = lay_out(shots, total=total, fps=fps, chunk=chunk)
    reason = "whole frames" if chunk is None else f"whole chunks of {chunk / fps:g} s"
    settled = []
    for index, (shot, frames) in enumerate(zip(shots, layout.frames, strict=True)):
        used = None if frames is None else frames / fps
        settled.append(Shot(prompt=shot.prompt, duration=used))
        if shot.duration is None:
            draft.note(f"shots[{index}].duration", None, used, "what the other shots leave")
        elif used is None or abs(used - shot.duration) > 1e-9:
            draft.change(f"shots[{index}].duration", shot.duration, used, reason)
    draft.settled |= {"shots": tuple(settled), "num_frames": layout.total}
    if layout.total is not None and total is not None and layout.total != total:
        draft.change("duration", total / fps, layout.total / fps, "every shot gets a chunk")
