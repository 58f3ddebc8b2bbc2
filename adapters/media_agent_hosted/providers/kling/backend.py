"""Kling: its own models. Our key goes along as `external_task_id`, under which work is found again.

A second submission under that name is rejected there. UNVERIFIED, so that both readings are taken:
that a poll takes it in place of the task's id, and the list of tasks; the wording of failures; that
videos are kept for 30 days; the fields of omni models; whether an extension knows our key.
"""

import contextlib
import re
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, JsonValue

from media_agent.errors import (
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
)
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend, ProviderOptions
from media_agent_hosted.base.service import Connection
from media_agent_hosted.http.auth import Auth, RenewedToken, key_header
from media_agent_hosted.http.inputs import InputForm
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.lenient import number, text, unwrap, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.kling.body import EXTENSION, MOST_SHOTS, WITH_SHOTS, build_body
from media_agent_hosted.providers.kling.errors import code_of, error_of_poll, error_of_submission
from media_agent_hosted.providers.kling.tokens import sign_token
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["KlingBackend", "KlingOptions"]

_LISTED = {"pageNum": "1", "pageSize": "500"}
_OF_CONTENT = re.compile(r"risk control|content|sensitive|policy|safety", re.IGNORECASE)


class KlingOptions(ProviderOptions):
    """The options under [backends.kling.options]."""

    region: Literal["singapore", "beijing", "global"] = Field(
        default="singapore", description="where the account is; global: the older address"
    )
    access_key: str | None = Field(
        default=None,
        pattern=r"^\S+$",
        description="the access key of an older pair; the key is then the secret key",
    )
    usd_per_unit: float | None = Field(
        default=None, ge=0, description="what you paid for a unit, so that jobs say their cost"
    )


class KlingBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every model at Kling."""

    kind = "kling"
    address = "https://api-singapore.klingai.com"
    keys_at = "app.klingai.com/global/dev"
    options_type = KlingOptions
    models = Models(Path(__file__).with_name("models.yaml"), provider="kling", most_parts=1)
    work_id = "task_id"
    input_form = InputForm.BASE64
    largest_input = 10_000_000
    callback_field = "callback_url"
    keeps = timedelta(days=30)
    reads_video_files = False
    lookup = "key"

    @property
    def _own(self) -> KlingOptions:
        options = self.options
        assert isinstance(options, KlingOptions)
        return options

    @property
    def region(self) -> str:
        """The region of the account."""
        return self._own.region

    def connection(self) -> Connection:
        """Return the address of the region."""
        found, region = super().connection(), self.region
        if self.settings.base_url is not None or region == "singapore":
            return found
        host = "api" if region == "global" else f"api-{region}"
        return replace(found, base_url=f"https://{host}.klingai.com")

    def auth(self) -> Auth:
        """Return what makes the header: the API key, or a token signed with the older pair."""
        access_key, key = self._own.access_key, self.settings.key
        if access_key is None or key is None:
            return key_header(key, scheme="Bearer")
        return RenewedToken(partial(sign_token, access_key, key), clock=self._clock)

    def describe(self, model_id: str) -> Capabilities:
        """Say what a model can do; some take several shots at once."""
        found = super().describe(model_id)
        is_known = found.model in WITH_SHOTS
        return found.model_copy(update={"max_shots": MOST_SHOTS}) if is_known else found

    def build(self, submission: Submission) -> Call:
        """Return the call that submits a task; its path is that of the mode."""
        model = submission.model
        path = "/v1/videos/text2video" if model is None or not model.path else model.path
        return Call("POST", path, json=build_body(submission))

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a task, below the path that it was submitted to."""
        return Call("GET", f"{ref.data['path']}/{quote(ref.operation_id, safe='')}")

    def parse(self, body: JsonValue) -> Status:
        """Return how far a task is.

        Raises:
            BackendError: a code says that the question failed, which says nothing of the task.
        """
        said = unwrap(body)
        status = replace(read_status(body), cost=self._cost(said))
        trouble = None if status.word or not code_of(said) else error_of_poll(said)
        if trouble is not None:
            raise trouble
        if status.state is State.FAILED:
            return replace(status, error=_failure(said))
        video = text(value_at(said, "task_result.videos.0.id"))
        if status.state is not State.DONE or video is None:
            return status
        kept = f"kling keeps it as {video}; kling/{EXTENSION} continues it with the option video_id"
        return replace(status, own_id=video, warnings=(kept,))

    def results(self, body: JsonValue) -> JsonValue:
        """Return the videos, without those that bear a watermark."""
        listed = value_at(unwrap(body), "task_result.videos")
        found = listed if isinstance(listed, list) else []
        return {"videos": [{"url": each.get("url")} for each in found if isinstance(each, dict)]}

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what the code of a reply to a submission means, also with HTTP 200."""
        return error_of_submission(reply)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work whose answer was lost: by our key as its name, then in the list."""
        known = await super().find(request, key=key, since=since)
        if known is not None:
            return known
        submission = await self._submission(request, key, uploads=False)
        call = self.build(submission)
        by_name = Call("GET", f"{call.path}/{quote(key, safe='')}")
        for search in (by_name, Call("GET", call.path, params=_LISTED)):
            with contextlib.suppress(
                OperationNotFoundError, InvalidRequestError, BackendResponseError
            ):
                reply = await self._poller.send(search)
                task = self.found(reply.json(), key)
                name = self._work_in(task)
                if name is not None:
                    ref = self._ref(submission, call, name, task)
                    return self._stamped(ref, key, since.timestamp(), self._deadline(request))
        return None

    def found(self, body: JsonValue, key: str) -> JsonValue:
        """Return the task under our key: the one that was asked for, or one of a list."""
        data = body.get("data") if isinstance(body, dict) else None
        tasks = data if isinstance(data, list) else [data]
        place = "task_info.external_task_id"
        return next((each for each in tasks if text(value_at(each, place)) == key), None)

    def _cost(self, said: dict[str, JsonValue]) -> Cost | None:
        units, usd = number(said.get("final_unit_deduction")), self._own.usd_per_unit
        if units is None or units < 0 or usd is None:
            return None
        return Cost(usd=units * usd, source="kling, at the usd_per_unit of the settings")


def _failure(said: dict[str, JsonValue]) -> MediaAgentError:
    words = text(said.get("task_status_msg")) or "failed, and not why"
    if _OF_CONTENT.search(words) or cause_of((), words) is Cause.CONTENT:
        return ContentRejectedError(f"kling says: {words}", hint="change the prompt or the images")
    return GenerationFailedError(f"kling says: {words}", hint="make it again")
