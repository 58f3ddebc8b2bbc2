"""Replicate: many models, each behind a queue of predictions, at api.replicate.com.

It honours no key and its list does not say whose prediction is whose, so a submission is sent once.
"""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, MediaAgentError, ModelRetiredError
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.lenient import number, text, unwrap
from media_agent_hosted.parsing.states import State
from media_agent_schemas.jobs import OperationRef

__all__ = ["ReplicateBackend"]

_PERCENT = re.compile(r"(\d{1,3})%\|")  # as progress bars write it into the logs
_LOOKED_AT = 2000  # characters at the end of the logs


class ReplicateBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every official model at Replicate."""

    kind = "replicate"
    address = "https://api.replicate.com/v1"
    keys_at = "replicate.com/account/api-tokens"
    models = Models(
        Path(__file__).with_name("models.yaml"),
        provider="replicate",
        least_parts=2,
        most_parts=2,
    )
    addresses = ("urls.get", "urls.cancel")
    keeps = timedelta(hours=1)
    cancels = True
    verification = wire_equal("replicate 1.0.7")

    def build(self, submission: Submission) -> Call:
        """Return the call that asks a model for a prediction."""
        path = f"/models/{submission.model_id}/predictions"
        return Call("POST", path, json={"input": submission.fields()})

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a prediction, which holds its result."""
        return Call("GET", _path(ref), named="urls.get")

    def parse(self, body: JsonValue) -> Status:
        """Return how far a prediction is; progress stands in its logs alone."""
        said, status = unwrap(body), read_status(body)
        metrics = said.get("metrics")
        taken = number(metrics.get("predict_time")) if isinstance(metrics, dict) else None
        found = _PERCENT.findall((text(said.get("logs")) or "")[-_LOOKED_AT:])
        fraction = min(1.0, int(found[-1]) / 100) if found else None
        return replace(
            status,
            fraction=fraction if status.state is State.RUNNING else None,
            seconds=None if taken is None or taken < 0 else taken,
        )

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that stops a prediction; one that is over is left alone."""
        return Call("POST", f"{_path(ref)}/cancel", named="urls.cancel", accepts=(404, 422))

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what Replicate means by an HTTP error to a submission."""
        if reply.is_html:
            return None
        said = reply.words() or "not found"
        hint = "replicate.com/explore lists what there is; only official models go by name"
        if reply.status == 404:
            return InvalidRequestError(f"replicate has no model {model_id!r}: {said}", hint=hint)
        if reply.status == 410:
            return ModelRetiredError(f"replicate retired {model_id}: {said}", hint=hint)
        return None


def _path(ref: OperationRef) -> str:
    return f"/predictions/{quote(ref.operation_id, safe='')}"
