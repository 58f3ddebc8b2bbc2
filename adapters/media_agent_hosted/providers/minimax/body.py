"""What a submission to MiniMax says, beyond the fields that models.yaml names; pure.

Version 2 takes a list `content` of a text, images, videos and audio, each with its role; version 1
takes a field for each.
"""

import re

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.fields import Fields
from media_agent_schemas.media import InputRole

REGENERATION = "video-regeneration"
"""Our name for the call that makes a video of H3 again, larger; its field says the model of it."""
H3 = "MiniMax-H3"
NEWER, OLDER = "/v2/video_generation", "/v1/video_generation"
_REGENERATE = "/v2/video_regeneration"
_LONGEST_AT_1080P = 6  # seconds, of the older models
_MOST_AUDIO = 3
_FRAMES = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME)
_REFERENCES = (InputRole.SUBJECT, InputRole.MOTION)


def path_of(submission: Submission) -> str:
    """Return the call for a model; one that is not known here is taken as one of version 2."""
    return NEWER if submission.model is None else submission.model.path


def build_body(submission: Submission) -> JsonValue:
    """Return the body of a submission.

    Raises:
        UnsupportedRequestError: it asks for what the model cannot do together.
        InvalidRequestError: something is missing, or no address.
    """
    fields, path = submission.fields(), path_of(submission)
    if path == OLDER:
        return {"model": submission.model_id, **_older(submission, fields)}
    fields["content"] = _content(submission, fields)
    if path != _REGENERATE:
        return {"model": submission.model_id, **fields}
    by_id = fields.get("source_task_id") is not None
    if by_id == any(each.role is InputRole.SOURCE_VIDEO for each in submission.request.inputs):
        raise InvalidRequestError(
            "minimax makes one video again: a source_video, or that of a task",
            hint="give either the video, or the option source_task_id",
        )
    if by_id:
        del fields["content"]  # the task has them
    return {"model": H3, **fields}


def _content(submission: Submission, fields: Fields) -> list[JsonValue]:
    """Take the prompt, the inputs and the audio out of the fields, as items of one list."""
    _check_roles(submission)
    prompt, listed = fields.pop("prompt", None), fields.pop("content", [])
    addresses = str(fields.pop("reference_audio", "")).split()
    assert isinstance(listed, list), "content is a list, as models.yaml says"
    _check_audio(submission, addresses)
    audio: list[JsonValue] = [
        {"url": each, "type": "audio_url", "role": "reference_audio"} for each in addresses
    ]
    items = [_item(each) for each in (*listed, *audio) if isinstance(each, dict)]
    return items if prompt is None else [{"type": "text", "text": prompt}, *items]


def _item(said: Fields) -> JsonValue:
    """Return an item of the list: what it is, where it is, and what it is for."""
    kind = str(said["type"])
    return {"type": kind, kind: {"url": said["url"]}, "role": said["role"]}


def _check_roles(submission: Submission) -> None:
    roles = [each.role for each in submission.request.inputs]
    if any(role in _FRAMES for role in roles) and any(role in _REFERENCES for role in roles):
        raise UnsupportedRequestError(
            f"{submission.model_id} takes first and last frames, or references, and not both",
            hint="leave one kind out",
        )
    if InputRole.LAST_FRAME in roles and InputRole.FIRST_FRAME not in roles:
        raise InvalidRequestError(f"{submission.model_id} needs a first_frame before a last_frame")


def _check_audio(submission: Submission, addresses: list[str]) -> None:
    if not addresses:
        return
    if len(addresses) > _MOST_AUDIO:
        raise UnsupportedRequestError(
            f"{submission.model_id} takes {_MOST_AUDIO} reference_audio; there are {len(addresses)}"
        )
    if not all(re.match(r"https://[^/]|mm_file://.", each) for each in addresses):
        raise InvalidRequestError(
            "reference_audio is no list of https addresses", hint="part them by spaces"
        )
    if not any(each.role in _REFERENCES for each in submission.request.inputs):
        raise InvalidRequestError(
            f"{submission.model_id} takes reference_audio only beside an image or a video",
            hint="add a subject or a motion to the inputs",
        )


def _older(submission: Submission, fields: Fields) -> Fields:
    move = fields.pop("camera", None)
    if isinstance(move, str):
        fields["prompt"] = f"{fields.get('prompt', '')} [{move}]".strip()
    most = None if submission.model is None else submission.model.longest_prompt
    if most is not None and len(str(fields.get("prompt", ""))) > most:
        raise UnsupportedRequestError(
            f"with the camera movement, the prompt has more than the {most} characters that "
            f"{submission.model_id} takes",
            hint="shorten it",
        )
    seconds = fields.get("duration")
    if fields.get("resolution") == "1080P" and seconds != _LONGEST_AT_1080P:
        raise UnsupportedRequestError(
            f"{submission.model_id} makes {_LONGEST_AT_1080P} s in 1080p, not {seconds}",
            hint=f"ask for {_LONGEST_AT_1080P} s, or for resolution 768p",
        )
    subjects = fields.get("subject_reference")
    if isinstance(subjects, list):
        fields["subject_reference"] = [
            {**each, "image": [each["image"]]} for each in subjects if isinstance(each, dict)
        ]
    return fields
