"""fal: many video models behind one queue, at queue.fal.run.

A submission is paid for and fal honours no key, so it is sent once; lists show what has ended only.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.base.runs import app_of, read_queue, unprocessable, verdict_of_queue
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.providers.fal.body import MOST_SHOTS, build_body, takes_shots
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.jobs import OperationRef

__all__ = ["MODELS", "FalBackend"]

MODELS = Models(
    Path(__file__).with_name("models"),
    provider="fal",
    least_parts=2,
    default="fal-ai/wan/v2.7/text-to-video",
)


class FalBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every model at fal, mapped or not."""

    kind = "fal"
    address = "https://queue.fal.run"
    keys_at = "fal.ai/dashboard/keys"
    scheme = "Key"
    models = MODELS
    work_id = "request_id"
    addresses = ("status_url", "response_url", "cancel_url")
    keeps = timedelta(days=7)
    cancel_rule = CancelRule.QUEUED_ONLY  # work that has started usually continues
    verification = wire_equal("fal-client 1.0.3")

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; some take several shots at once."""
        found = super().capabilities(model)
        is_known = found.model in MODELS.by_id and takes_shots(found.model)
        return found.model_copy(update={"max_shots": MOST_SHOTS}) if is_known else found

    def build(self, submission: Submission) -> Call:
        """Return the call that puts a request into the queue."""
        return Call("POST", f"/{submission.model_id}", json=build_body(submission))

    def with_callback(self, call: Call, url: str) -> Call:
        """Return the submission with the address that fal tells when work is over."""
        return replace(call, params={**(call.params or {}), "fal_webhook": url})

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks how far work is, with what its model wrote."""
        return Call("GET", f"{_path(ref)}/status", params={"logs": "1"}, named="status_url")

    def parse(self, body: JsonValue) -> Status:
        """Return how far work is; only its result tells success from some failures."""
        return read_queue(body, "fal")

    def result(self, ref: OperationRef) -> Call:
        """Return the call for the result."""
        return Call("GET", _path(ref), named="response_url")

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that stops work; sure only while it waits in the queue."""
        return Call("PUT", f"{_path(ref)}/cancel", named="cancel_url", accepts=(400, 404))

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what fal means by an HTTP error to a submission."""
        if reply.is_html:
            return None
        match reply.status:
            case 403:
                return BackendAuthenticationError(
                    f"fal refuses this account: {reply.words() or 'its balance may be used up'}",
                    hint="look at its balance and whether it is locked, on fal.ai/dashboard",
                )
            case 404:
                return InvalidRequestError(
                    f"fal has no model {model_id!r}: {reply.words() or 'not found'}",
                    hint="it may be misspelt or retired; fal.ai/models lists them",
                )
            case 422:
                return unprocessable(reply, "fal")
        return None

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        """Return fal's own word, in an HTTP error, that work failed."""
        return verdict_of_queue(reply, "fal")


def _path(ref: OperationRef) -> str:
    """Return the path of accepted work: it names the app of a model, not what is below it."""
    app = app_of(MODELS.check_id(ref.model))
    return f"/{app}/requests/{quote(ref.operation_id, safe='')}"
