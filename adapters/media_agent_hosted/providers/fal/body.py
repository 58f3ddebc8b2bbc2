"""What a submission to fal says, beyond the fields that its models are listed with; pure."""

import re
from itertools import pairwise

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.models.shots import whole_seconds
from media_agent_schemas.media import InputRole, MediaInput

MOST_SHOTS = 6
_WITH_SHOTS = re.compile(
    r"fal-ai/kling-video/(v3|o3)/(pro|standard)/(text|image|reference)-to-video"
)
_PIKAFRAMES = "fal-ai/pika/v2.2/pikaframes"
_LEAST_TRANSITION = 1.0  # seconds


def takes_shots(model_id: str) -> bool:
    """Whether a model takes a prompt for each shot."""
    return _WITH_SHOTS.fullmatch(model_id) is not None


def build_body(submission: Submission) -> JsonValue:
    """Return the body of a submission.

    Raises:
        UnsupportedRequestError: it asks for what the model cannot do together.
        InvalidRequestError: something is missing, or at an impossible time.
    """
    fields = submission.fields()
    if submission.model_id == _PIKAFRAMES:
        return _with_transitions(submission, fields)
    if submission.model_id.endswith("/reframe") and "aspect_ratio" not in fields:
        raise InvalidRequestError(
            f"{submission.model_id} needs the shape that the video is to get",
            hint="say the aspect ratio, such as 9:16",
        )
    if takes_shots(submission.model_id) and len(submission.request.shots) > 1:
        return _with_shots(submission, fields)
    return fields


def _with_shots(submission: Submission, fields: Fields) -> JsonValue:
    """Return fields with a prompt for each shot; their whole seconds add up to the length."""
    shots = submission.request.shots
    lengths = whole_seconds(shots, int(str(fields["duration"])), "fal")
    listed: JsonValue = [
        {"prompt": shot.prompt, "duration": str(length)}
        for shot, length in zip(shots, lengths, strict=True)
    ]
    others = {name: value for name, value in fields.items() if name != "prompt"}
    return {"shot_type": "customize", **others, "multi_prompt": listed}


def _with_transitions(submission: Submission, fields: Fields) -> JsonValue:
    """Return fields with the images in the order of their times, and the seconds between them."""
    inputs, seconds = submission.request.inputs, submission.request.seconds()
    if seconds is None:
        raise InvalidRequestError("the request has no length; a plan sets it")
    timed = [(_time_of(medium, seconds), medium.role is InputRole.LAST_FRAME) for medium in inputs]
    placed = sorted(
        (is_last, time, number) for number, (time, is_last) in enumerate(timed)
    )  # a keyframe behind the end is so before the last frame, and too close to it
    between = [after - before for (_, before, _), (_, after, _) in pairwise(placed)]
    if min(between) < _LEAST_TRANSITION:
        raise UnsupportedRequestError(
            f"{submission.model_id} takes {_LEAST_TRANSITION:g} s at least from image to image",
            hint="move the keyframes, or ask for a longer video",
        )
    others = {name: value for name, value in fields.items() if name != "duration"}
    images: JsonValue = [submission.inputs[number] for _, _, number in placed]
    transitions: JsonValue = [{"duration": round(length, 3)} for length in between]
    return {**others, "image_urls": images, "transitions": transitions}


def _time_of(medium: MediaInput, seconds: float) -> float:
    """Return when the video shows an image."""
    if medium.role is InputRole.KEYFRAME and medium.at is not None:
        return medium.at
    return seconds if medium.role is InputRole.LAST_FRAME else 0.0
