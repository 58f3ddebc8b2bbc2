"""Luma: Ray 3.2 by the Agents API. It has no list and honours no key of ours: sent once.

UNVERIFIED: that an address which ended after its hour is made again by the next poll; how long a
file may be looked at; and where rejected content is said at once, and not in a poll.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.base.calls import Call, Status, Submission, Uploaded
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.http.inputs import InputFile, InputForm, InputPart
from media_agent_hosted.models.facts import Models
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.parsing.lenient import text, unwrap, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.luma.body import build_body
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole

__all__ = ["LumaBackend"]

_FILE = "file_id:"
_FILES_KEPT = timedelta(days=1)
_OF_INPUTS = ("image_too_large", "unsupported_format", "corrupt_input", "invalid_request")


class LumaBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for the video models of Luma's Agents API."""

    kind = "luma"
    address = "https://agents.lumalabs.ai/v1"
    keys_at = "platform.lumalabs.ai"
    models = Models(Path(__file__).with_name("models.yaml"), provider="luma", most_parts=1)
    input_form = InputForm.BASE64
    largest_upload = 200 * 2**20
    uploads = "files over 20 MiB; luma is asked to keep them for a day"
    keeps = timedelta(hours=1)
    verification = wire_equal("luma-agents 0.5.0")

    def input_value(self, part: InputPart) -> JsonValue:
        """Return an input as an object: where it is, or its bytes; a video says its media type."""
        if part.mime_type is not None:
            return {"data": part.value, "media_type": part.mime_type}
        if part.value.startswith(_FILE):
            return {"file_id": part.value.removeprefix(_FILE)}
        if part.role is not InputRole.SOURCE_VIDEO:
            return {"url": part.value}
        is_webm = part.value.partition("?")[0].endswith(".webm")
        return {"url": part.value, "media_type": "video/webm" if is_webm else "video/mp4"}

    def build(self, submission: Submission) -> Call:
        """Return the call that begins a generation."""
        return Call("POST", "/generations", json=build_body(submission))

    def upload(self, file: InputFile) -> Call:
        """Return the call that asks where to put a file."""
        until = datetime.fromtimestamp(self._clock(), UTC) + _FILES_KEPT
        body: Fields = {
            "mime_type": file.mime_type,
            "size_bytes": len(file.content),
            "filename": file.name,
            "purpose": "input",
            "expires_at": until.isoformat(),
        }
        return Call("POST", "/files", json=body)

    def uploaded(self, body: JsonValue, file: InputFile) -> Uploaded | None:
        """Return what names the file, and the calls that put it there and wait for it."""
        said = body if isinstance(body, dict) else {}
        name = text(said.get("id")) or text(value_at(body, "file.id"))
        target, listed = text(value_at(body, "upload.url")), value_at(body, "upload.headers")
        if name is None or target is None:
            return None
        headers = (
            {each: str(value) for each, value in listed.items()} if isinstance(listed, dict) else {}
        )
        there = f"/files/{quote(name, safe='')}"
        return Uploaded(
            f"{_FILE}{name}",
            then=Call("PUT", target, content=file.content, headers=headers, is_keyless=True),
            last=Call("POST", f"{there}/complete"),
            check=Call("GET", there),
        )

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a generation; its answer signs the addresses again."""
        return Call("GET", f"/generations/{quote(ref.operation_id, safe='')}")

    def parse(self, body: JsonValue) -> Status:
        """Return how far a generation is."""
        said, status = unwrap(body), read_status(body)
        if status.state is State.FAILED:
            return replace(status, error=_failure(said))
        name = text(said.get("id"))
        if status.state is not State.DONE or name is None:
            return status
        kept = f"luma keeps it as {name}; luma/ray-3.2 continues it with the option generation_id"
        return replace(status, own_id=name, warnings=(kept,))

    def results(self, body: JsonValue) -> JsonValue:
        """Return the videos, without what else is put out beside them."""
        listed = unwrap(body).get("output")
        found = listed if isinstance(listed, list) else []
        return {"videos": [each for each in found if _is_video(each)]}


def _is_video(each: JsonValue) -> bool:
    return isinstance(each, dict) and (text(each.get("type")) or "video") == "video"


def _failure(said: Fields) -> MediaAgentError:
    """Return what the code of a failure means; one that is not known is a failure."""
    code, words = text(said.get("failure_code")) or "", text(said.get("failure_reason"))
    named = f"luma says: {words or 'failed, and not why'}" + (f" ({code})" if code else "")
    if code == "content_moderated":
        return ContentRejectedError(named, hint="change the prompt or the images")
    if code == "budget_exhausted":
        return BackendAuthenticationError(named, hint="add credit there")
    if code in _OF_INPUTS:
        return InvalidRequestError(named, hint="convert or replace the images or the video")
    return GenerationFailedError(named, hint="make it again")
