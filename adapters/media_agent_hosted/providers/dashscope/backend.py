"""Alibaba Model Studio (DashScope): Wan and HappyHorse, in Singapore or Beijing.

No key of ours is honoured, so a submission is sent once. There is a list of tasks, but nobody says
what it repeats of a request, so that nothing in it could be proved ours: it is not searched.
UNVERIFIED, so that both readings are taken: how long tasks and videos are kept (24 h), what a
refused cancel looks like, and that images go along as data URIs in the list `media` too.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import Field, JsonValue

from media_agent.errors import MediaAgentError, OperationNotFoundError
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend, ProviderOptions
from media_agent_hosted.base.service import Connection
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.lenient import number, unwrap, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.dashscope.body import build_body, names_upload
from media_agent_hosted.providers.dashscope.errors import (
    error_of_question,
    error_of_submission,
    failure_of,
)
from media_agent_hosted.providers.dashscope.regions import Region, address_of, choose_region
from media_agent_schemas.capabilities import CancelRule
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef

__all__ = ["DashscopeBackend", "DashscopeOptions"]

_USUAL = "/services/aigc/video-generation/video-synthesis"


class DashscopeOptions(ProviderOptions):
    """The options under [backends.dashscope.options]."""

    region: Region | None = Field(
        default=None,
        description="singapore or beijing, where key and account are; singapore by default",
    )
    workspace: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="the id of a workspace, whose own host is then asked",
    )


class DashscopeBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every video model at Model Studio."""

    kind = "dashscope"
    address = "https://dashscope-intl.aliyuncs.com/api/v1"
    keys_at = "modelstudio.console.alibabacloud.com"
    options_type = DashscopeOptions
    models = Models(Path(__file__).with_name("models.yaml"), provider="dashscope", most_parts=2)
    work_id = "output.task_id"
    keeps = timedelta(hours=24)
    reads_video_files = False
    cancel_rule = CancelRule.QUEUED_ONLY
    verification = wire_equal("dashscope 2.0.2")

    @property
    def _own(self) -> DashscopeOptions:
        options = self.options
        assert isinstance(options, DashscopeOptions)
        return options

    @property
    def region(self) -> Region:
        """The region of key and account."""
        return choose_region(self.name, self._own.region, self.settings.base_url)

    def connection(self) -> Connection:
        """Return the address of the region, or of a workspace in it."""
        found, region = super().connection(), self.region
        if self.settings.base_url is not None:
            return found
        return replace(found, base_url=address_of(region, self._own.workspace))

    def build(self, submission: Submission) -> Call:
        """Return the call that submits a task; without its header it would be waited for."""
        body, headers = build_body(submission), {"X-DashScope-Async": "enable"}
        if names_upload(body):
            headers["X-DashScope-OssResourceResolve"] = "enable"
        path = _USUAL if submission.model is None else submission.model.path
        return Call("POST", path, json=body, headers=headers)

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a task."""
        return Call("GET", _path(ref))

    def parse(self, body: JsonValue) -> Status:
        """Return how far a task is.

        Raises:
            OperationNotFoundError: it is lost: it has expired, or there never was one.
            BackendError: a code says that the question failed, which says nothing of the task.
        """
        status, output = read_status(body), value_at(body, "output")
        said = output if isinstance(output, dict) else unwrap(body)
        if not status.word:
            trouble = error_of_question(200, said, self.region)
            if trouble is not None:
                raise trouble
        word = status.word.upper()
        if word == "UNKNOWN":
            raise OperationNotFoundError(
                f"dashscope knows no such task in {self.region}: it has expired, or never was",
                hint="tasks are kept for 24 h, and known in their own region only",
            )
        if word == "SUSPENDED":
            return replace(status, state=State.QUEUED)
        if status.state is State.FAILED:
            return replace(status, error=failure_of(said))
        return replace(status, cost=_cost(body)) if status.state is State.DONE else status

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that stops a task; only one that waits is stopped."""
        return Call("POST", f"{_path(ref)}/cancel", accepts=(400, 404, 409))

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what the code of a reply to a submission means, also with HTTP 200."""
        return error_of_submission(reply, model_id, self.region)

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        """Return what an HTTP error to a question means: nothing of the work."""
        return error_of_question(reply.status, reply.object(), self.region, reply.retry_after)


def _path(ref: OperationRef) -> str:
    return f"/tasks/{quote(ref.operation_id, safe='')}"


def _cost(body: JsonValue) -> Cost | None:
    """Return the billed seconds, those of videos that went in among them."""
    seconds = number(value_at(body, "usage.duration"))
    return None if seconds is None or seconds <= 0 else Cost(seconds=seconds, source="dashscope")
