"""How long: frame rate, number of frames and the lengths of shots."""

import math

from media_agent.errors import InvalidRequestError
from media_agent.negotiation.draft import NegotiationDraft
from media_agent.negotiation.possible_lengths import (
    choose_fps,
    choose_seconds,
    compute_frame_step,
    find_wanted_seconds,
    fit_seconds,
    format_frames,
)
from media_agent.negotiation.storyboard import lay_out
from media_agent_schemas.capabilities import Capabilities
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


def _resolve_fps(draft: NegotiationDraft) -> float:
    asked, capabilities = draft.request.fps, draft.capabilities
    used = choose_fps(asked, capabilities)
    if asked is None:
        draft.note("fps", None, used, "not given; the model's default")
    elif used != asked:
        draft.change("fps", asked, used, f"{draft.model} makes {_format_rates(capabilities)}")
    return used


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
    limits, has_length = draft.capabilities.at_rate(fps), _has_length(draft.request)
    seconds = fit_seconds(asked, limits, fps)
    is_whole = draft.request.infer_mode() is VideoMode.VIDEO_EDIT
    frames = max(1, round(seconds * fps))
    used = _round_frames(seconds * fps, fps, limits, is_whole=is_whole)

    def said(seconds: float) -> float:
        return max(1, round(seconds * fps)) if name == "num_frames" else seconds

    lengths = f"{draft.model} makes {_format_lengths(draft.capabilities)}"
    if has_length and asked - used / fps > compute_frame_step(limits, fps):
        draft.refuse(name, draft.request.num_frames or asked, f"{lengths} at once")
        return used
    change = draft.change if has_length else draft.note
    if seconds != asked and said(seconds) != said(asked):
        change(name, said(asked), said(seconds), lengths)
    if used != frames:
        rule = (
            f"{draft.model} makes {_format_rule(draft.capabilities)} frames: {used}, not {frames}"
        )
        change(name, said(seconds), said(used / fps), rule)
    elif abs(frames / fps - seconds) > 1e-9 * max(1.0, seconds) and name != "num_frames":
        draft.note(name, seconds, frames / fps, f"whole frames at {fps:g} frames per second")
    return used


def _round_frames(wanted: float, fps: float, capabilities: Capabilities, *, is_whole: bool) -> int:
    """Return the nearest number of frames that the model makes, the larger of two as near.

    A video that is restyled is not cut: the model fills it up with copies of its last frame.
    """
    multiple, offset = capabilities.frame_multiple, capabilities.frame_offset
    if (multiple, offset) == (1, 0):
        return max(1, round(wanted))
    least = math.ceil(max(1.0, (capabilities.min_duration or 0.0) * fps - 1e-6))
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
    seconds = choose_seconds(capabilities, fps)
    draft.note("duration", None, seconds, "not given; the model's default")
    return "duration", seconds


def _has_length(request: VideoRequest) -> bool:
    """Return whether the request has a length; else the model's default is used."""
    return request.num_frames is not None or request.seconds() is not None


def _format_lengths(capabilities: Capabilities) -> str:
    """Return the lengths that a model makes in words, in frames where frames are its limit."""
    if capabilities.durations:
        return f"{', '.join(f'{value:g}' for value in capabilities.durations)} s"
    shortest, longest = capabilities.min_duration, capabilities.max_duration
    said = []
    if capabilities.min_frames is not None or capabilities.max_frames is not None:
        said.append(f"{format_frames(capabilities)} frames")
    if shortest is not None or longest is not None or not said:
        most = "any length" if longest is None else f"{longest:g} s"
        said.append(f"{shortest or 0:g} s to {most}")
    return ", ".join(said)


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
