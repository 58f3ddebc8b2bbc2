"""Replicate: many models, each behind a queue of predictions, at api.replicate.com.

A model is named owner/name, one of its versions owner/name:version, a deployment of your own
deployments/owner/name.

It honours no key and its list does not say whose prediction is whose, so a submission is sent once.
"""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import (
    BackendResponseError,
    InvalidRequestError,
    MediaAgentError,
    ModelRetiredError,
    UnsupportedRequestError,
    to_info,
)
from media_agent_hosted.base.calls import Answer, Call, End, Status, Submission, Uploaded
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.base.runs import read_prediction
from media_agent_hosted.http.inputs import InputFile
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.parsing.lenient import text, unwrap, value_at
from media_agent_schemas.capabilities import CancelRule
from media_agent_schemas.events import JobOutcomeUnknown
from media_agent_schemas.jobs import OperationRef

__all__ = ["ReplicateBackend"]

_VERSION = re.compile(r"[0-9a-f]{64}")


class ReplicateBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every model at Replicate."""

    kind = "replicate"
    address = "https://api.replicate.com/v1"
    keys_at = "replicate.com/account/api-tokens"
    models = Models(
        Path(__file__).with_name("models.yaml"),
        provider="replicate",
        least_parts=2,
        most_parts=3,
    )
    addresses = ("urls.get", "urls.cancel")
    largest_input = 256_000
    largest_upload = 100_000_000
    uploads = "files larger than 256 kB, for 24 hours"
    keeps = timedelta(hours=1)
    cancel_rule = CancelRule.STOPS
    verification = wire_equal("replicate 1.0.7")

    def build(self, submission: Submission) -> Call:
        """Return the call that asks a model, a version of it, or a deployment for a prediction.

        Raises:
            UnsupportedRequestError: the model does not make what is asked for together.
        """
        fields = submission.fields()
        _check_together(submission.model_id, fields)
        kind, owner, name = _split_id(submission.model_id)
        if kind == "version":
            return Call("POST", "/predictions", json={"version": name, "input": fields})
        return Call("POST", f"/{kind}s/{owner}/{name}/predictions", json={"input": fields})

    def with_callback(self, call: Call, url: str) -> Call:
        """Return the submission with the address that Replicate tells when work is over."""
        if not isinstance(call.json, dict):
            return call
        events: list[JsonValue] = ["completed"]
        return replace(call, json={**call.json, "webhook": url, "webhook_events_filter": events})

    def upload(self, file: InputFile) -> Call:
        """Return the call that uploads an input."""
        return Call("POST", "/files", files={"content": (file.name, file.content, file.mime_type)})

    def uploaded(self, body: JsonValue, file: InputFile) -> Uploaded | None:
        """Return the address under which Replicate's models read a file."""
        address = text(value_at(body, "urls.get"))
        return None if address is None else Uploaded(address)

    def _id(self, model: str | None) -> str:
        """Return the id of a model; a version is written owner/name:version or owner/name/version.

        Raises:
            InvalidRequestError: it cannot be an id.
        """
        named = model or self.settings.model
        found = super()._id(named and named.replace(":", "/", 1))
        _split_id(found)
        return found

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a prediction, which holds its result."""
        return Call("GET", _path(ref), named="urls.get")

    def parse(self, body: JsonValue) -> Status:
        """Return how far a prediction is; progress stands in its logs alone."""
        return read_prediction(body)

    async def finish(self, ref: OperationRef, answer: Answer, *, is_over: bool) -> End:
        """Say where the videos are, or that they are there no more."""
        end = await super().finish(ref, answer, is_over=is_over)
        if isinstance(end, JobOutcomeUnknown) and unwrap(answer.body).get("data_removed") is True:
            gone = BackendResponseError(
                "replicate made the video and removed it, as it does an hour later",
                hint="make it again; a job that keeps running fetches its video at once",
            )
            return end.model_copy(update={"error": to_info(gone)})
        return end

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that stops a prediction; one that is over is left alone."""
        return Call("POST", f"{_path(ref)}/cancel", named="urls.cancel", accepts=(404, 422))

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what Replicate means by an HTTP error to a submission."""
        if reply.is_html:
            return None
        said = reply.words() or "not found"
        hint = (
            "replicate.com/explore lists what there is; models that are not official need a version"
        )
        if reply.status == 404:
            return InvalidRequestError(f"replicate has no model {model_id!r}: {said}", hint=hint)
        if reply.status == 410:
            return ModelRetiredError(f"replicate retired {model_id}: {said}", hint=hint)
        return None


def _split_id(model_id: str) -> tuple[Literal["model", "version", "deployment"], str, str]:
    """Return what an id names, and its last two parts.

    Raises:
        InvalidRequestError: it has three parts, and names neither a version nor a deployment.
    """
    *before, owner, name = model_id.split("/")
    if not before:
        return "model", owner, name
    if before == ["deployments"]:
        return "deployment", owner, name
    if _VERSION.fullmatch(name):
        return "version", owner, name
    raise InvalidRequestError(
        f"replicate has no model {model_id!r}",
        hint="write owner/name, owner/name:version with its 64 characters, or "
        "deployments/owner/name",
    )


def _check_together(model_id: str, fields: Fields) -> None:
    """Refuse what Hailuo does not make: 10 s in 1080p."""
    is_long = fields.get("duration") == 10 and fields.get("resolution") == "1080p"
    if is_long and model_id.startswith("minimax/hailuo-"):
        raise UnsupportedRequestError(
            f"{model_id} makes 10 s in 768p only", hint="ask for 6 s, or for 768p"
        )


def _path(ref: OperationRef) -> str:
    return f"/predictions/{quote(ref.operation_id, safe='')}"
