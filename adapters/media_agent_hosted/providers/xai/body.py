"""What a submission to xAI says beyond the fields that models.yaml names; pure."""

from itertools import pairwise

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.fields import Fields
from media_agent_schemas.media import InputRole

_MOST_REFERENCES = 7
_MOST_VOICES = 3
_LEAST_APART = 1 / 3  # seconds between two keyframes
_EXTENSIONS = "/videos/extensions"


def build_body(submission: Submission) -> JsonValue:
    """Return the body of a submission.

    Raises:
        UnsupportedRequestError: it asks for what the model cannot do together.
        InvalidRequestError: a keyframe lies outside the video, or too close to another one.
    """
    fields = submission.fields()
    voices = _read_voices(fields.pop("reference_voices", None))
    if voices:
        fields["reference_audios"] = [{"voice_id": voice} for voice in voices]
    if submission.model is not None:
        _check_references(submission, fields)
        _check_keyframes(submission)
        _check_user(submission, fields)
    return {"model": submission.model_id, **fields}


def _read_voices(said: JsonValue) -> list[str]:
    """Return the voices of an option such as "eve, leo"."""
    voices = [name.strip() for name in str(said or "").split(",") if name.strip()]
    if len(voices) > _MOST_VOICES:
        raise UnsupportedRequestError(
            f"option reference_voices names {len(voices)} voices; xai takes {_MOST_VOICES}",
            hint="leave some out",
        )
    return voices


def _check_references(submission: Submission, fields: Fields) -> None:
    """Refuse too many references, and what is not made with any."""
    listed = fields.get("reference_images")
    references = len(listed) if isinstance(listed, list) else 0
    if references > _MOST_REFERENCES:
        raise UnsupportedRequestError(
            f"{references} references are given; {submission.model_id} takes {_MOST_REFERENCES}",
            hint="leave some out",
        )
    has_voices = "reference_audios" in fields
    if (references or has_voices) and fields.get("resolution") == "1080p":
        raise UnsupportedRequestError(
            f"{submission.model_id} makes 720p at most from references and voices",
            hint="ask for 720p, or leave them out",
        )


def _check_keyframes(submission: Submission) -> None:
    """Refuse keyframes that are not strictly within the video, or too close together."""
    inputs, seconds = submission.request.inputs, submission.request.seconds()
    keyframes = [each for each in inputs if each.role is InputRole.KEYFRAME]
    times = sorted(each.at for each in keyframes if each.at is not None)
    for at in times:
        if seconds is not None and not 0 < at < seconds:
            raise InvalidRequestError(
                f"the keyframe at {at:g} s is not within the video of {seconds:g} s",
                hint="move it; the ends are first_frame and last_frame",
            )
    for before, after in pairwise(times):
        if after - before < _LEAST_APART - 1e-9:
            raise InvalidRequestError(
                f"the keyframes at {before:g} s and {after:g} s are less than 1/3 s apart",
                hint="move one of them",
            )


def _check_user(submission: Submission, fields: Fields) -> None:
    is_extension = submission.model is not None and submission.model.path == _EXTENSIONS
    if is_extension and "user" in fields:
        raise UnsupportedRequestError(
            "xai has no field for the option user where a video is continued",
            hint="leave it out",
        )
