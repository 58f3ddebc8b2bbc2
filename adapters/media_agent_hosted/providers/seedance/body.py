"""What a submission to Ark says: a model, a list of content, and parameters; pure."""

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.facts import Seconds
from media_agent_hosted.models.fields import Fields
from media_agent_schemas.media import InputRole

_SHAPING = (InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO)


def build_body(submission: Submission) -> dict[str, JsonValue]:
    """Return the body of a submission.

    Raises:
        InvalidRequestError: the audio is no https address.
        UnsupportedRequestError: it asks for what cannot be had together.
    """
    fields = submission.fields()
    prompt, listed = fields.pop("prompt", None), fields.pop("content", None)
    audio = fields.pop("reference_audio", None)
    content: list[JsonValue] = [] if prompt is None else [{"type": "text", "text": prompt}]
    content += listed if isinstance(listed, list) else []
    if audio is not None:
        content.append(_audio(submission, audio))
    if fields.pop("smart_duration", False):
        _check_longest(submission, fields)
        fields["duration"] = -1
    is_adaptive = fields.pop("adaptive_ratio", False)
    if is_adaptive or _follows_input(submission, fields):
        fields["ratio"] = "adaptive"
    return {"model": submission.model_id, "content": content, **fields}


def _follows_input(submission: Submission, fields: Fields) -> bool:
    """Whether the frames are to have the shape of an image or a video that goes in."""
    roles = {medium.role for medium in submission.request.inputs}
    return submission.model is not None and "ratio" not in fields and not roles.isdisjoint(_SHAPING)


def _audio(submission: Submission, address: JsonValue) -> JsonValue:
    if not str(address).startswith(("https://", "asset://")):
        raise InvalidRequestError(
            "the option reference_audio of seedance is no https address",
            hint="give it as an https address",
        )
    if not submission.request.inputs and "-2-5-" not in submission.model_id:
        raise UnsupportedRequestError(
            f"{submission.model_id} takes reference_audio beside images or videos only",
            hint="add an input, such as a subject",
        )
    return {"type": "audio_url", "audio_url": {"url": address}, "role": "reference_audio"}


def _check_longest(submission: Submission, fields: Fields) -> None:
    """Refuse to leave the length to the model, unless the longest was asked for, and priced.

    Raises:
        UnsupportedRequestError: a shorter one was.
    """
    length = None if submission.model is None else submission.model.length
    longest = max(length.seconds) if isinstance(length, Seconds) else None
    if longest is None or fields.get("duration") != longest:
        asked = "the longest length" if longest is None else f"{longest} s, the longest length"
        raise UnsupportedRequestError(
            f"with smart_duration {submission.model_id} chooses the length itself",
            hint=f"ask for {asked}, which is what a budget counts; or leave the option out",
        )
