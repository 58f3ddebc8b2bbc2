"""ByteDance Seedance: at BytePlus ModelArk, or on the mainland at Volcengine Ark.

No key of ours is honoured, so a submission is sent once. Its list repeats no prompt: what may be
work whose reply was lost is only named. UNVERIFIED, so that both readings are taken: that videos
are kept for 24 h, that only a task that waits is stopped, and the codes of errors.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import Field, JsonValue

from media_agent.errors import (
    GenerationFailedError,
    MediaAgentError,
)
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.listed import since_by_its_clock, unproven
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend, ProviderOptions
from media_agent_hosted.base.service import Connection
from media_agent_hosted.http.inputs import InputPart
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.lenient import moment, text, unwrap, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.seedance.billing import billed
from media_agent_hosted.providers.seedance.body import build_body
from media_agent_hosted.providers.seedance.errors import (
    error_of_question,
    error_of_submission,
    failure_of,
)
from media_agent_hosted.providers.seedance.lookup import candidates
from media_agent_hosted.providers.seedance.regions import (
    ADDRESSES,
    USUAL_MODELS,
    Region,
    check_pair,
    choose_region,
    region_of,
)
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["SeedanceBackend", "SeedanceOptions"]

_TASKS = "/contents/generations/tasks"
_LISTED = "100"  # tasks that are looked through


class SeedanceOptions(ProviderOptions):
    """The options under [backends.seedance.options]."""

    region: Region | None = Field(
        default=None,
        description="international (BytePlus) or mainland (Volcengine Ark), where the key is from; "
        "international by default",
    )
    usd_per_million_tokens: float | None = Field(
        default=None, ge=0, description="what you pay for tokens, so that jobs say their cost"
    )


class SeedanceBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every model of Seedance."""

    kind = "seedance"
    address = ADDRESSES["international"]
    keys_at = "console.byteplus.com (international) or console.volcengine.com (mainland)"
    options_type = SeedanceOptions
    models = Models(Path(__file__).with_name("models.yaml"), provider="seedance", most_parts=1)
    callback_field = "callback_url"
    keeps = timedelta(hours=24)
    reads_video_files = False
    cancel_rule = CancelRule.QUEUED_ONLY
    bills_failed = False
    cancelling_deletes = True
    lookup = "candidates"
    verification = wire_equal("volcengine-ark-runtime 5.0.54")

    @property
    def _own(self) -> SeedanceOptions:
        options = self.options
        assert isinstance(options, SeedanceOptions)
        return options

    @property
    def region(self) -> Region:
        """The region of the key, which has its own host and its own ids."""
        return choose_region(self.name, self._own.region, self.settings.base_url)

    def connection(self) -> Connection:
        """Return the address of the region."""
        found, region = super().connection(), self.region
        return found if self.settings.base_url else replace(found, base_url=ADDRESSES[region])

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do, and list those of the region.

        Raises:
            InvalidRequestError: it is a model of the other region.
        """
        found = super().capabilities(model)
        own = tuple(each for each in found.models if region_of(each) in (None, self.region))
        return found.model_copy(update={"models": own})

    def input_value(self, part: InputPart) -> JsonValue:
        """Return an input as an object with its address, or an image as a data URI."""
        return {"url": part.value}

    def build(self, submission: Submission) -> Call:
        """Return the call that creates a task."""
        return Call("POST", _TASKS, json=build_body(submission))

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a task."""
        return Call("GET", _path(ref))

    def parse(self, body: JsonValue) -> Status:
        """Return how far a task is; of one that is done the video is cleared after a day."""
        task, status = unwrap(body), read_status(body)
        if status.state is State.FAILED:
            return replace(status, error=failure_of(task))
        if status.state is not State.DONE:
            return status
        if self._is_cleared(task):
            why = GenerationFailedError(
                "seedance made the video, and has deleted it: it keeps videos for 24 h",
                hint="make it again; it is billed again",
            )
            return replace(status, state=State.FAILED, error=why, cost=self._cost(task))
        return replace(status, cost=self._cost(task))

    def results(self, body: JsonValue) -> JsonValue:
        """Return the video, without the image of its last frame."""
        return {"video_url": value_at(unwrap(body), "content.video_url")}

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that stops a task that waits; it would delete one that is over."""
        return Call("DELETE", _path(ref), accepts=(400, 403, 404, 409))

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what a no to a submission means."""
        return error_of_submission(reply, model_id, self.region)

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        """Return what an HTTP error to a question means: nothing of the work."""
        return error_of_question(reply)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look through the list for work whose answer was lost.

        Raises:
            BackendResponseError: it proves nothing: what may be it is named.
        """
        known = await super().find(request, key=key, since=since)
        if known is not None:
            return known
        sent = build_body(await self._submission(request, key, uploads=False))
        asked = {"page_num": "1", "page_size": _LISTED, "filter.model": str(sent["model"])}
        reply = await self._poller.send(Call("GET", _TASKS, params=asked))
        taken = self._known_ids()
        begin = since_by_its_clock(reply, self._clock() - since.timestamp())
        found = [*candidates(reply.json(), sent, begin)]
        names = [each for each in found if each not in taken]
        if not names:
            return None
        raise unproven(reply.host, names, "repeats no prompt and proves nothing")

    def reads_parameters(self, model_id: str) -> bool:
        """Return that any may: an endpoint does not say which model it has."""
        return True

    def _id(self, model: str | None) -> str:
        model_id = super()._id(model or self.settings.model or USUAL_MODELS[self.region])
        check_pair(self.name, model_id, self.region)
        return model_id

    def _cost(self, task: dict[str, JsonValue]) -> Cost | None:
        return billed(task, self._own.usd_per_million_tokens)

    def _is_cleared(self, task: dict[str, JsonValue]) -> bool:
        """Whether the address of a video that was made has been cleared, and not only is late."""
        ended = moment(task.get("updated_at"))
        if ended is None or text(value_at(task, "content.video_url")) is not None:
            return False
        return self._clock() - ended >= self.keeps.total_seconds()


def _path(ref: OperationRef) -> str:
    return f"{_TASKS}/{quote(ref.operation_id, safe='')}"
