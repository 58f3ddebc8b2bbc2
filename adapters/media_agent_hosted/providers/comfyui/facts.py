"""What a workflow can do, read from its slots and from the values that it has there itself."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import JsonValue

from media_agent.backend.polled import DEADLINE
from media_agent_hosted.providers.comfyui.options import Setup
from media_agent_schemas.capabilities import (
    FALLBACK_FPS,
    FALLBACK_SECONDS,
    CancelRule,
    Capabilities,
)
from media_agent_schemas.facts import (
    FpsRange,
    OptionSpec,
    SizeRange,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode

ROLES = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME, InputRole.SOURCE_VIDEO)
_SMALLEST, _LARGEST = 16, 8192  # pixels of a side
_FASTEST = 240.0  # frames per second


class Steps(NamedTuple):
    """The steps of a node: of its width and height, and of its frames, k * frames + offset."""

    size: int
    frames: int
    offset: int = 1


_STEPS = {  # docs.comfy.org/built-in-nodes/NAME, read on 2026-11-29
    "EmptyHunyuanLatentVideo": Steps(16, 4),  # Wan too
    "WanImageToVideo": Steps(16, 4),
    "LTXVImgToVideo": Steps(32, 8),
    "EmptyLTXVLatentVideo": Steps(32, 8),
}
_ANY = Steps(16, 1, 0)


def describe(setup: Setup, kind: str, name: str) -> Capabilities:
    """Say what the workflow can do."""
    options, fps = setup.options, _own_fps(setup)
    steps, seconds = _steps(setup), _own_seconds(setup, fps)
    longest, most_frames = options.max_duration or seconds, _own_frames(setup)
    roles = tuple(role for role in ROLES if role.value in setup.slots)
    sets_length = "num_frames" in setup.slots or "duration" in setup.slots
    what = options.description or f"the workflow {setup.name} on your own ComfyUI server"
    if sets_length and options.max_duration is None:
        most = f"{longest:g} s" if most_frames is None else f"{most_frames} frames"
        what += f"; {most} at once unless max_duration says more"
    facts = Capabilities(
        backend=name,
        kind=kind,
        model=setup.name,
        models=(setup.name,),
        description=what,
        modes=(_mode(setup),),
        input_roles=roles,
        needs=roles,
        max_inputs=dict.fromkeys(roles, 1),
        reads_urls=False,
        fps_values=() if "fps" in setup.slots else (fps,),
        fps_range=FpsRange(minimum=1, maximum=_FASTEST) if "fps" in setup.slots else None,
        default_fps=fps,
        durations=() if sets_length else (seconds,),
        max_duration=(longest if most_frames is None else None) if sets_length else seconds,
        max_frames=most_frames,
        default_duration=min(seconds, longest),
        frame_multiple=steps.frames if sets_length else 1,
        frame_offset=steps.offset if sets_length else 0,
        negative_prompt="negative_prompt" in setup.slots,
        seed="seed" in setup.slots,
        cancel_rule=CancelRule.STOPS,
        bills_failed=False,
        lookup="key",
        options=(*_parameters(setup), DEADLINE),
        verification=Verification(
            level=VerificationLevel.SIMULATOR, note="against a simulator of the documented API"
        ),
        licence=options.licence,
    )
    return Capabilities.model_validate({**dict(facts), **_sizes(setup, steps.size)})


def _mode(setup: Setup) -> VideoMode:
    """Return the one kind of work it does: a workflow that loads an image needs one."""
    if "source_video" in setup.slots:
        is_next = setup.options.continues_source
        return VideoMode.VIDEO_EXTEND if is_next else VideoMode.VIDEO_EDIT
    if "last_frame" in setup.slots:
        return VideoMode.FIRST_LAST_FRAME
    return VideoMode.IMAGE_TO_VIDEO if "first_frame" in setup.slots else VideoMode.TEXT_TO_VIDEO


def _steps(setup: Setup) -> Steps:
    """Return the steps that the settings say, else those of the node that sets size or frames."""
    place = setup.first("num_frames") or setup.first("width")
    known = _ANY if place is None else _STEPS.get(setup.workflow.nodes[place.node].kind, _ANY)
    options = setup.options
    return Steps(
        options.size_multiple or known.size,
        options.frame_multiple or known.frames,
        known.offset if options.frame_offset is None else options.frame_offset,
    )


def _sizes(setup: Setup, multiple: int) -> dict[str, object]:
    if setup.options.size is not None:
        return {"sizes": (setup.options.size,), "default_size": setup.options.size}
    width, height = (_own_number(setup, name) for name in ("width", "height"))
    own = None
    if width and height and all(_SMALLEST <= side <= _LARGEST for side in (width, height)):
        own = Size(width=int(width), height=int(height))
    least, most = -(-_SMALLEST // multiple) * multiple, _LARGEST // multiple * multiple
    return {
        "default_size": own,
        "size_range": SizeRange(
            minimum=Size(width=least, height=least),
            maximum=Size(width=most, height=most),
            multiple=multiple,
        ),
    }


def _own_fps(setup: Setup) -> float:
    own = _own_number(setup, "fps")
    return setup.options.fps or (own if own is not None and 0 < own <= _FASTEST else FALLBACK_FPS)


def _own_seconds(setup: Setup, fps: float) -> float:
    """Return how long the video of the workflow as it is would be."""
    frames, seconds = _own_number(setup, "num_frames"), _own_number(setup, "duration")
    if setup.options.duration is not None:
        return setup.options.duration
    if frames is not None and frames >= 1:
        return frames / fps
    return seconds if seconds is not None and seconds > 0 else FALLBACK_SECONDS


def _own_frames(setup: Setup) -> int | None:
    """Return the frames of the workflow as it is, the most where the settings say no length."""
    frames, options = _own_number(setup, "num_frames"), setup.options
    is_told = options.max_duration is not None or options.duration is not None
    return None if is_told or frames is None or frames < 1 else int(frames)


def _own_number(setup: Setup, slot: str) -> float | None:
    """Return the number that the workflow itself has in a slot; None: no slot, or no number."""
    place = setup.first(slot)
    value = None if place is None else setup.workflow.value_at(place)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(str(value)) if is_number else None


def _parameters(setup: Setup) -> Iterator[OptionSpec]:
    """Yield the inputs that a request may set as options, with the values of the workflow."""
    for name, places in setup.parameters.items():
        own = setup.workflow.value_at(places[0])
        node = setup.workflow.describe(places[0].node)
        yield OptionSpec(
            name=name,
            type=_type_of(own),
            description=f"{places[0].input} of {node}; {own!r} in the workflow",
        )


def _type_of(value: JsonValue) -> Literal["boolean", "integer", "number", "string"]:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
    return "string"
