"""Runway: its own models, and those of others, at api.dev.runwayml.com.

No list, and no key of ours that is honoured: a submission is sent once. UNVERIFIED: the names in
the answer to an upload, and which failures are refunded (`cost` says).
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import (
    ContentRejectedError,
    GenerationFailedError,
    MediaAgentError,
    UnsupportedRequestError,
)
from media_agent_hosted.base.calls import Call, Status, Submission, Uploaded
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.http.inputs import InputFile
from media_agent_hosted.models.facts import Models
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.parsing.lenient import number, text, unwrap, value_at
from media_agent_hosted.parsing.states import State
from media_agent_schemas.capabilities import CancelRule
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef

__all__ = ["RunwayBackend"]

_HEADERS = {"X-Runway-Version": "2024-11-06"}  # without which every call is refused
_USD_A_CREDIT = 0.01
_PATHS = {
    "promptVideo": "video_to_video",
    "videoUri": "video_to_video",
    "promptImage": "image_to_video",
}


class RunwayBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every model that Runway offers."""

    kind = "runway"
    address = "https://api.dev.runwayml.com"
    keys_at = "dev.runwayml.com"
    models = Models(Path(__file__).with_name("models.yaml"), provider="runway", most_parts=1)
    keeps = timedelta(hours=24)
    cancel_rule = CancelRule.NOT_REFUNDED  # `cost` says what it bills all the same
    cancelling_deletes = True
    largest_input = 3_700_000  # 5 MB as base64
    largest_upload = 200 * 2**20
    uploads = "files over 3.7 MB; runway keeps them for a day"
    verification = wire_equal("runwayml 5.24.0")

    def build(self, submission: Submission) -> Call:
        """Return the call that submits a task; which one, the inputs decide."""
        fields = submission.fields()
        _check_length(fields, submission)
        named = next((path for name, path in _PATHS.items() if name in fields), "text_to_video")
        path = submission.model.path if submission.model is not None else f"/v1/{named}"
        body: JsonValue = {"model": submission.model_id, **fields}
        return Call("POST", path, json=body, headers=_HEADERS)

    def upload(self, file: InputFile) -> Call:
        """Return the call that asks where to put a file."""
        body: JsonValue = {"filename": file.name, "type": "ephemeral"}
        return Call("POST", "/v1/uploads", json=body, headers=_HEADERS)

    def uploaded(self, body: JsonValue, file: InputFile) -> Uploaded | None:
        """Return what names the file, and the call that puts it there, as a form of fields."""
        said = unwrap(body)
        address = text(said.get("runwayUri")) or text(said.get("uri"))
        target, listed = text(said.get("uploadUrl")), said.get("fields")
        if address is None:
            return None
        if target is None:
            return Uploaded(address)
        fields = listed if isinstance(listed, dict) else {}
        parts = {name: (None, str(value).encode(), None) for name, value in fields.items()}
        form = {**parts, "file": (file.name, file.content, file.mime_type)}
        return Uploaded(address, Call("POST", target, files=form, is_keyless=True))

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a task; each answer signs its addresses again."""
        return Call("GET", _path(ref), headers=_HEADERS)

    def parse(self, body: JsonValue) -> Status:
        """Return how far a task is, and what it costs."""
        status = replace(read_status(body), cost=_cost(body))
        if status.state is not State.FAILED:
            return status
        return replace(status, error=_failure(unwrap(body)))

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that stops a task, or deletes one that is over."""
        return Call("DELETE", _path(ref), headers=_HEADERS, accepts=(404,))


def _path(ref: OperationRef) -> str:
    return f"/v1/tasks/{quote(ref.operation_id, safe='')}"


def _cost(body: JsonValue) -> Cost | None:
    charged = number(value_at(body, "cost.credits"))
    if charged is None or charged < 0:
        return None
    held = number(value_at(body, "estimatedCost.credits")) or charged
    back = held - charged
    refunded = back * _USD_A_CREDIT if back > 0 else None
    return Cost(usd=charged * _USD_A_CREDIT, source="runway", refunded_usd=refunded)


def _failure(said: dict[str, JsonValue]) -> MediaAgentError:
    """Return what a code of a failure means; families of codes that are not known are failures."""
    code, words = text(said.get("failureCode")) or "", text(said.get("failure")) or "not why"
    named = f"runway says: {words}" + (f" ({code})" if code else "")
    family = code.upper()
    if family.startswith("SAFETY"):
        return ContentRejectedError(named, hint="change the prompt or the images")
    if family.startswith(("ASSET", "INPUT_PREPROCESSING")):
        return GenerationFailedError(named, hint="convert or replace the images or the video")
    return GenerationFailedError(named, hint="make it again")


def _check_length(fields: Fields, submission: Submission) -> None:
    """Refuse a prompt that is too long as Runway counts: in code units of UTF-16.

    Raises:
        UnsupportedRequestError: it is.
    """
    most = None if submission.model is None else submission.model.longest_prompt
    units = len(str(fields.get("promptText", "")).encode("utf-16-le", "replace")) // 2
    if most is not None and units > most:
        raise UnsupportedRequestError(
            f"the prompt has {units} UTF-16 code units; {submission.model_id} takes {most}",
            hint="shorten it",
        )
