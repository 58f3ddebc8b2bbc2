"""fal: many video models behind one queue, at queue.fal.run.

A submission is paid for and fal honours no key, so it is sent once. One whose reply was lost is
looked for in the list of fal's platform API, which is another host.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Unpack
from urllib.parse import quote

from pydantic import Field, JsonValue

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.provider import HostedBackend, ProviderOptions
from media_agent_hosted.base.runs import app_of, read_queue, unprocessable, verdict_of_queue
from media_agent_hosted.base.service import Means
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.providers.fal.body import MOST_SHOTS, build_body, takes_shots
from media_agent_hosted.providers.fal.lookup import find_request
from media_agent_hosted.providers.fal.platform import choose_platform
from media_agent_schemas.capabilities import USUAL_LOOKUP_SECONDS, CancelRule, Capabilities
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["MODELS", "FalBackend"]

MODELS = Models(
    Path(__file__).with_name("models"),
    provider="fal",
    least_parts=2,
    default="fal-ai/wan/v2.7/text-to-video",
)


class FalOptions(ProviderOptions):
    """The options under [backends.fal.options]."""

    platform_url: str | None = Field(
        default=None,
        description="fal's platform API, whose list finds a lost reply; https://api.fal.ai/v1 by "
        "default, beside another base_url /v1 below that",
    )
    lookup_seconds: float = Field(
        default=900.0,
        ge=0,
        le=86_400,
        description="a lost reply is looked for that long: work may be listed only once it ended",
    )


class FalBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every model at fal, mapped or not."""

    kind = "fal"
    address = "https://queue.fal.run"
    keys_at = "fal.ai/dashboard/keys"
    scheme = "Key"
    options_type = FalOptions
    models = MODELS
    work_id = "request_id"
    addresses = ("status_url", "response_url", "cancel_url")
    keeps = timedelta(days=7)
    cancel_rule = CancelRule.QUEUED_ONLY  # work that has started usually continues
    lookup = "list"
    verification = wire_equal("fal-client 1.0.3")

    def __init__(self, settings: BackendSettings, **means: Unpack[Means]) -> None:
        """Read the settings; nothing is sent.

        Raises:
            ConfigurationError: an option or an address is wrong.
        """
        super().__init__(settings, **means)
        connection, chosen = self.connection(), self._own.platform_url
        url = choose_platform(connection.base_url, chosen, queue=self.address)
        self._platform = replace(connection, base_url=url).open(
            settings.secrets,
            transport=means.get("transport"),
            sleep=means.get("sleep", asyncio.sleep),
        )

    @property
    def _own(self) -> FalOptions:
        options = self.options
        assert isinstance(options, FalOptions)
        return options

    def describe(self, model_id: str) -> Capabilities:
        """Say what a model can do: some take several shots; without a seed nothing is proved."""
        found = super().describe(model_id)
        changes: dict[str, object] = {"lookup_seconds": self._own.lookup_seconds}
        if model_id in MODELS.by_id and takes_shots(model_id):
            changes["max_shots"] = MOST_SHOTS
        if found.seed is False:  # a person has to look anyway, and can as well later
            changes |= {"lookup": "candidates", "lookup_seconds": USUAL_LOOKUP_SECONDS}
        return found.model_copy(update=changes)

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

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look through the list of this account for the one request with this input and seed.

        Raises:
            BackendResponseError: the list proves nothing: what may be it is named.
        """
        known = await super().find(request, key=key, since=since)
        if known is not None:
            return known
        submission = await self._submission(request, key, uploads=False)
        call = self.build(submission)
        name = await find_request(
            self._platform,
            call.json if isinstance(call.json, dict) else {},
            submission.model_id,
            since=since,
            ago=lambda: self._clock() - since.timestamp(),
            taken=self._known_ids(),
        )
        if name is None:
            return None
        ref = self._ref(submission, call, name, None)
        return self._stamped(ref, key, since.timestamp(), self._deadline(request))

    async def aclose(self) -> None:
        """Close the connections; fal continues its work."""
        await super().aclose()
        await self._platform.aclose()


def _path(ref: OperationRef) -> str:
    """Return the path of accepted work: it names the app of a model, not what is below it."""
    app = app_of(MODELS.check_id(ref.model))
    return f"/{app}/requests/{quote(ref.operation_id, safe='')}"
