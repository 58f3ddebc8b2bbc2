"""What a submission to Ark says: a model, a list of content, and parameters; pure."""

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.fields import check_longest


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
        asked = fields.get("duration")
        check_longest(submission.model, submission.model_id, asked, "smart_duration")
        fields["duration"] = -1
    if fields.pop("adaptive_ratio", False):
        fields["ratio"] = "adaptive"
    return {"model": submission.model_id, "content": content, **fields}


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
