"""What a submission to Model Studio says: a model, its input and its parameters; pure."""

from collections.abc import Iterator

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.fields import Fields, check_longest

_OF_INPUT = (
    *("prompt", "negative_prompt", "template", "media", "audio_url"),
    *("img_url", "first_frame_url", "last_frame_url", "reference_urls"),
)
"""Fields of `input`; all others are parameters."""
_DRIVING = "driving_audio"


def build_body(submission: Submission) -> dict[str, JsonValue]:
    """Return the body of a submission.

    Raises:
        InvalidRequestError: an option is no https address.
        UnsupportedRequestError: it asks for what cannot be had together.
    """
    fields = submission.fields()
    inside, parameters = _taken(fields, "input"), _taken(fields, "parameters")
    if fields.pop("smart_duration", False):
        asked = parameters.get("duration")
        check_longest(submission.model, submission.model_id, asked, "smart_duration")
        parameters["duration"] = -1
    audio = fields.pop(_DRIVING, None)
    for name, value in fields.items():
        (inside if name in _OF_INPUT else parameters)[name] = value
    if audio is not None:
        listed = inside.get("media")
        others = listed if isinstance(listed, list) else []
        inside["media"] = [*others, {"type": _DRIVING, "url": audio}]
    _check_audio(audio)
    _check_audio(inside.get("audio_url"))
    return {"model": submission.model_id, "input": inside, "parameters": parameters}


def names_upload(value: JsonValue) -> bool:
    """Whether a body names a file that was uploaded to the provider: oss://..."""
    return any(text.startswith("oss://") for text in _texts(value))


def _taken(fields: Fields, name: str) -> Fields:
    value = fields.pop(name, {})
    return value if isinstance(value, dict) else {}


def _check_audio(address: JsonValue) -> None:
    if address is not None and not str(address).startswith(("https://", "oss://")):
        raise InvalidRequestError(
            "the audio of dashscope is no https address", hint="give it as an https address"
        )


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            yield from _texts(list(value.values()))
