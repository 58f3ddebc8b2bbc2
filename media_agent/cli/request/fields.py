"""The fields of a request as a command line gives them, put over those of a file."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from media_agent.cli.arguments import read_frame_size, read_number, read_whole_number
from media_agent.cli.request.file import RequestFile
from media_agent.cli.request.flags import RoutingFlags, VideoFlags
from media_agent.config.file import merge_tables
from media_agent.errors import Fault, InvalidRequestError
from media_agent.jobs.options import build_budget
from media_agent.negotiation.storyboard import read_shot
from media_agent.validation import fault_in_words, faults_of, in_words
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import Shot, VideoMode, VideoRequest

_RIVALS = {
    "prompt": ("shots",),
    "shots": ("prompt",),
    "duration": ("num_frames", "endless"),
    "endless": ("duration", "num_frames"),
    "size": ("resolution", "aspect_ratio"),
    "resolution": ("size",),
    "aspect_ratio": ("size",),
}
"""What a file says otherwise and a field of the command line takes the place of."""
_TIMED = 'give every shot its length: TEXT@SECONDS, such as "a blue square moving left@3"'
_LENGTHS = ("duration", "num_frames", "endless")


def collect_fields(prompt: str | None, video: VideoFlags, routing: RoutingFlags) -> dict[str, Any]:
    """Return the fields that a command line gives, and no others.

    Raises:
        InvalidRequestError: a value is malformed, or a flag needs another one.
    """
    fields = {
        "mode": VideoMode.VIDEO_EDIT if video.restyle else None,
        "negative_prompt": video.negative_prompt,
        "inputs": _build_inputs(video) or None,
        "consent": video.consent,
        "camera": video.camera,
        "endless": video.endless or None,
        "fps": read_number("fps", video.fps),
        "size": None if video.size is None else read_frame_size(video.size),
        "resolution": video.resolution,
        "aspect_ratio": video.aspect_ratio,
        "deadline": read_number("deadline", video.deadline),
        "seed": read_whole_number("seed", video.seed),
        "audio": video.audio,
        "n": read_whole_number("n", video.n),
        "watermark": video.watermark,
        "visible_label": video.visible_label,
        "model": routing.backend,
        "budget": build_budget(routing.read_max_cost()),
        "routing": routing.list_given() or None,
    }
    words = collect_words(prompt, video)
    return words | {name: value for name, value in fields.items() if value is not None}


def collect_words(prompt: str | None, video: VideoFlags) -> dict[str, Any]:
    """Return the prompt or the shots of a command line, and the length it gives.

    Raises:
        InvalidRequestError: a shot cannot be read, or the length is given twice.
    """
    seconds = read_number("duration", video.duration)
    length = {} if seconds is None else {"duration": seconds}
    if prompt is None or video.shot:
        shots = tuple(read_shot(text) for text in (prompt, *video.shot) if text is not None)
        return {"shots": shots, **length} if shots else length
    if "@" not in prompt:
        return {"prompt": prompt, **length}
    shot = read_shot(prompt)
    if seconds is not None and shot.duration not in (None, seconds):
        raise InvalidRequestError(
            f"the prompt has @{shot.duration:g} and --duration is {seconds:g}", hint="give one"
        )
    timed = length if shot.duration is None else {"duration": shot.duration}
    return {"prompt": shot.prompt, **timed}


def merge_fields(file: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a file with those of the command line in their place."""
    dropped = {rival for name in given for rival in _RIVALS.get(name, ())}
    if _is_timed(given.get("shots", ())):
        dropped |= {*_LENGTHS}
    fields = {**file, **given}
    for name in dropped - given.keys():
        fields.pop(name, None)
    for name in ("routing", "options"):
        if isinstance(file.get(name), dict) and name in given:
            fields[name] = merge_tables(file[name], given[name])
    if isinstance(file.get("inputs"), list) and "inputs" in given:
        roles = [medium.role for medium in given["inputs"]]  # a file may say anything here
        kept = (each for each in file["inputs"] if _get_role(each) not in roles)
        fields["inputs"] = (*kept, *given["inputs"])
    return fields


def check_fields(
    fields: Mapping[str, Any], given: Mapping[str, Any], file: RequestFile | None
) -> VideoRequest:
    """Return the request of these fields.

    Raises:
        InvalidRequestError: a value is impossible; one of the file is named with its line.
    """
    try:
        return VideoRequest.model_validate(fields)
    except ValidationError as error:
        said = [_describe_fault(fault, given, file) for fault in faults_of(error, VideoRequest)]
        is_open = any(shot.duration is None for shot in given.get("shots", ()))
        raise InvalidRequestError("; ".join(said), hint=_TIMED if is_open else None) from None


def _describe_fault(fault: Fault, given: Mapping[str, Any], file: RequestFile | None) -> str:
    said = fault_in_words(fault)
    if file is None or (fault.place and fault.place[0] in given):
        return said
    return f"{file.locate(fault.place)}: {said}"


def _is_timed(shots: Sequence[Shot]) -> bool:
    return bool(shots) and all(shot.duration is not None for shot in shots)


def _get_role(medium: object) -> object:
    return medium.get("role") if isinstance(medium, dict) else None


def _build_inputs(video: VideoFlags) -> tuple[MediaInput, ...]:
    places = {
        InputRole.FIRST_FRAME: video.image,
        InputRole.LAST_FRAME: video.last_frame,
        InputRole.SOURCE_VIDEO: video.video,
    }
    try:
        return tuple(
            MediaInput.from_place(role, place)
            for role, place in places.items()
            if place is not None
        )
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, MediaInput)) from None
