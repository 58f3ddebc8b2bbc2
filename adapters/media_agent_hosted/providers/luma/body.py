"""What a generation at Luma says, beyond the fields that models.yaml names; pure.

Frames stand in one of two ways that exclude each other: the first and the last one, of 5 s without
HDR, or any number of keyframes, each at its place among 24 frames a second.
"""

import json
from itertools import pairwise

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.fields import Fields
from media_agent_schemas.media import InputRole, MediaInput

MODEL, REFRAME = "ray-3.2", "ray-3.2-reframe"
_FPS = 24
_NOT_HERE = {
    "uni-": "makes images, no videos",
    "ray-1": "is of the older Dream Machine API, which is not supported",
    "ray-2": "is of the older Dream Machine API, which is not supported",
    "ray-flash": "is of the older Dream Machine API, which is not supported",
}
"""How ids begin that other APIs of Luma have, or that make something else."""
_OF_EDITS = ("strength", "controls")
_OF_VIDEOS = ("generation_id", "direction", "loop", "hdr", "exr_export")
_SHARES = 4


def build_body(submission: Submission) -> JsonValue:
    """Return the body of a generation.

    Raises:
        UnsupportedRequestError: it asks for what Luma does not do, or not together.
        InvalidRequestError: an option is senseless, or keyframes do not fit.
    """
    name = submission.model_id
    for begin, why in _NOT_HERE.items():
        if name.startswith(begin):
            raise UnsupportedRequestError(f"{name} {why}", hint=f"use luma/{MODEL}")
    fields = submission.fields()
    named = fields.pop("video", {})
    video = named if isinstance(named, dict) else {}
    names = (each for each in (*_OF_VIDEOS, *_OF_EDITS) if each in fields)
    given: Fields = {each: fields.pop(each) for each in [*names]}
    if name == REFRAME:
        where = _position(fields.pop("source_position", None))
        return {"model": MODEL, "type": "video_reframe", **fields, "video": video | where}
    if "source" in fields:
        return {"model": name, "type": "video_edit", **fields, "video": video | _edit(name, given)}
    _refuse(given, _OF_EDITS, "for a video to change")
    video |= {each: given[each] for each in ("loop", "hdr", "exr_export") if each in given}
    video = _with_frames(submission, _extend(video, given))
    _check_together(video)
    return {"model": name, "type": "video", **fields, "video": video}


def _edit(name: str, given: Fields) -> Fields:
    """Return how a video is changed; where nothing is said, Luma decides."""
    _refuse(given, _OF_VIDEOS, "not for a video to change")
    manual: Fields = {}
    if "strength" in given:
        manual["strength"] = given["strength"]
    if "controls" in given:
        manual["controls"] = _object(name, given["controls"])
    return {"edit": manual or {"auto_controls": True}}


def _refuse(given: Fields, names: tuple[str, ...], why: str) -> None:
    found = next((each for each in names if each in given), None)
    if found is not None:
        raise UnsupportedRequestError(f"the option {found} is {why}", hint="leave it out")


def _object(name: str, said: JsonValue) -> JsonValue:
    try:
        controls = json.loads(str(said))
    except ValueError:
        controls = None
    if not isinstance(controls, dict):
        raise InvalidRequestError(
            f"the option controls of {name} is no JSON object",
            hint="such as controls='{\"pose\": {}}'",
        )
    return controls


def _extend(video: Fields, given: Fields) -> Fields:
    """Return the fields of a video that follows another one at Luma, or leads to it."""
    if "generation_id" not in given:
        _refuse(given, ("direction",), "for a video that another one is continued by")
        return video
    place = "end_frame" if given.get("direction") == "backward" else "start_frame"
    if place in video or "keyframes" in video:
        raise UnsupportedRequestError(
            f"the option generation_id stands where the {place} of the request is",
            hint="leave one of them out",
        )
    return {**video, place: {"generation_id": given["generation_id"]}}


def _with_frames(submission: Submission, video: Fields) -> Fields:
    """Return the fields with its frames as keyframes, where they cannot be the first and last."""
    inputs, length = submission.request.inputs, _FPS * _seconds(video)
    is_plain = all(each.role is not InputRole.KEYFRAME for each in inputs)
    is_short = length == _FPS * 5 and video.get("hdr") is not True
    if not inputs or (is_plain and is_short):
        return video
    if submission.options.get("generation_id") is not None:
        raise UnsupportedRequestError(
            "luma continues a video for 5 s, without HDR and without keyframes",
            hint="ask for 5 s, and for a first or a last frame at most",
        )
    placed = zip(inputs, submission.inputs, strict=True)
    frames = sorted(((_index(each, length), value) for each, value in placed), key=lambda it: it[0])
    for (before, _), (after, _) in pairwise(frames):
        if before == after:
            raise InvalidRequestError(
                f"two frames are at {before / _FPS:g} s; luma needs them apart",
                hint="leave one out, or move it by 1/24 s",
            )
    rest = {each: video[each] for each in video if each not in ("start_frame", "end_frame")}
    indexes: list[JsonValue] = [index for index, _ in frames]
    return {**rest, "keyframes": [value for _, value in frames], "keyframe_indexes": indexes}


def _index(medium: MediaInput, length: int) -> int:
    """Return the place of a frame among 24 a second."""
    if medium.role is not InputRole.KEYFRAME or medium.at is None:
        return length if medium.role is InputRole.LAST_FRAME else 0
    index = round(medium.at * _FPS)
    if index > length:
        raise InvalidRequestError(
            f"a keyframe at {medium.at:g} s lies behind the end, at {length / _FPS:g} s",
            hint="place it earlier, or ask for a longer video",
        )
    return index


def _check_together(video: Fields) -> None:
    is_long = video.get("duration") == "10s"
    is_hdr = video.get("hdr") is True
    if video.get("loop") is True and (
        is_long or is_hdr or "keyframes" in video or "end_frame" in video
    ):
        raise UnsupportedRequestError(
            "luma loops videos of 5 s, without HDR, keyframes or a last frame",
            hint="leave out the option loop, or what excludes it",
        )
    ends = (video.get("start_frame"), video.get("end_frame"))
    extends = any(isinstance(each, dict) and "generation_id" in each for each in ends)
    if extends and (is_long or is_hdr):
        raise UnsupportedRequestError(
            "luma continues a video for 5 s, without HDR", hint="ask for 5 s, without hdr"
        )
    if is_hdr and video.get("resolution") == "360p":
        raise UnsupportedRequestError("luma has no HDR in 360p", hint="ask for 540p or more")
    if video.get("exr_export") is True and not is_hdr:
        raise UnsupportedRequestError(
            "luma exports EXR of HDR only", hint="add the option hdr=true"
        )


def _seconds(video: Fields) -> int:
    return int(str(video.get("duration", "5s")).removesuffix("s"))


def _position(said: JsonValue) -> Fields:
    """Return the place of the source in the new shape.

    Raises:
        InvalidRequestError: it is not four shares that lie within it.
    """
    if said is None:
        return {}
    try:
        x, y, width, height = (float(each) for each in str(said).split(","))
    except ValueError:
        x = y = width = height = -1.0
    fits = min(x, y) >= 0 and min(width, height) > 0 and max(x + width, y + height) <= 1 + 1e-9
    if not fits:
        raise InvalidRequestError(
            f"source_position {said!r} is no x,y,width,height within 0 to 1",
            hint="such as 0.25,0,0.5,1",
        )
    return {"source_position": {"x_norm": x, "y_norm": y, "w_norm": width, "h_norm": height}}
