"""Google: Gemini Omni video through the Interactions API, at generativelanguage.googleapis.com.

An interaction always runs in the background and is stored: one that is waited for in its own reply
is billed and lost with it. There is no list, and no key of ours is honoured, so that a submission
is sent once. UNVERIFIED: the codes of failures, and how long a file is kept.
"""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import (
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    ModelRetiredError,
)
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.http.auth import Auth, key_header
from media_agent_hosted.http.inputs import InputForm, InputPart
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.lenient import space_words, text, unwrap
from media_agent_hosted.parsing.states import State
from media_agent_schemas.capabilities import CancelRule
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole

__all__ = ["GoogleBackend"]

_VIDEOS = (InputRole.SOURCE_VIDEO, InputRole.MOTION)
_ENDS = ("incomplete", "budget exceeded", "requires action", "requires continuation")
"""States that no later poll changes: nobody is there who could act."""


class GoogleBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for the video models of the Gemini API."""

    kind = "google"
    address = "https://generativelanguage.googleapis.com/v1beta"
    keys_at = "aistudio.google.com/apikey"
    models = Models(Path(__file__).with_name("models.yaml"), provider="google", most_parts=1)
    input_form = InputForm.BASE64
    videos_need_key = True
    cancel_rule = CancelRule.STOPS
    verification = wire_equal("google-genai 3.6.1")

    def auth(self) -> Auth:
        """Return what makes the header with the key."""
        return key_header(self.settings.key, name="x-goog-api-key")

    def input_value(self, part: InputPart) -> JsonValue:
        """Return an input as a block of content."""
        kind = "video" if part.role in _VIDEOS else "image"
        if part.mime_type is None:
            return {"type": kind, "uri": part.value}
        return {"type": kind, "data": part.value, "mime_type": part.mime_type}

    def build(self, submission: Submission) -> Call:
        """Return the call that begins an interaction in the background."""
        fields = submission.fields()
        prompt, parts = fields.pop("prompt", None), fields.pop("parts", None)
        content: JsonValue = prompt
        if isinstance(parts, list):
            said: list[JsonValue] = [] if prompt is None else [{"type": "text", "text": prompt}]
            content = [{"type": "user_input", "content": [*said, *parts]}]
        form = fields.pop("response_format", None)
        wanted = form if isinstance(form, dict) else {}
        body: dict[str, JsonValue] = {
            "model": submission.model_id,
            "input": content,
            "background": True,
            "store": True,
            "response_format": {"type": "video", "delivery": "uri", **wanted},
            "labels": {"job": submission.key[:63]},
        }
        return Call("POST", "/interactions", json=fields | body)

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for an interaction, in which a small video may stand itself."""
        return Call("GET", _path(ref), unpacks=True)

    def parse(self, body: JsonValue) -> Status:
        """Return how far an interaction is."""
        status = read_status(body)
        if status.state is not None or space_words(status.word) not in _ENDS:
            return status
        why = GenerationFailedError(f"google ends the interaction as {status.word}")
        return replace(status, state=State.FAILED, error=why)

    def results(self, body: JsonValue) -> JsonValue:
        """Return the videos of an interaction: in its steps, or in `output_video`."""
        said = unwrap(body)
        steps = said.get("steps")
        blocks = [said.get("output_video")]
        for step in steps if isinstance(steps, list) else []:
            content = step.get("content") if isinstance(step, dict) else None
            blocks += content if isinstance(content, list) else []
        return {"videos": [each for each in blocks if _is_video(each)]}

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that stops an interaction."""
        return Call("POST", f"{_path(ref)}/cancel", accepts=(400, 404, 409))

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what Google means by an HTTP error to a submission."""
        if reply.status == 404 and not reply.is_html:
            words = reply.words() or "not found"
            hint = "choose another model: media-agent backends --provider google"
            if "no longer available" in words:
                return ModelRetiredError(f"google retired {model_id}: {words}", hint=hint)
            return InvalidRequestError(f"google has no model {model_id!r}: {words}", hint=hint)
        return super().refusal(reply, model_id)


def _path(ref: OperationRef) -> str:
    return f"/interactions/{quote(ref.operation_id, safe='')}"


def _is_video(block: JsonValue) -> bool:
    return isinstance(block, dict) and (text(block.get("type")) or "video") == "video"
