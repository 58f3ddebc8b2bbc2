"""xAI: Grok Imagine video, at api.x.ai. It honours no key, so a submission is sent once."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.errors import ContentRejectedError
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.lenient import number, text, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.xai.body import build_body
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef

__all__ = ["XaiBackend"]

_TICKS_IN_A_DOLLAR = 10_000_000_000


class XaiBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every model of Grok Imagine."""

    kind = "xai"
    address = "https://api.x.ai/v1"
    keys_at = "console.x.ai"
    models = Models(Path(__file__).with_name("models.yaml"), provider="xai", most_parts=1)
    work_id = "request_id"
    keeps = timedelta(hours=24)

    def build(self, submission: Submission) -> Call:
        """Return the call that asks for a new video, or for another one changed or continued."""
        path = "" if submission.model is None else submission.model.path
        return Call("POST", path or "/videos/generations", json=build_body(submission))

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks how far work is, which tells its video too."""
        return Call("GET", f"/videos/{quote(ref.operation_id, safe='')}")

    def parse(self, body: JsonValue) -> Status:
        """Return how far work is: xAI may leave "done" out, and says it of a withheld video too."""
        status = replace(read_status(body), cost=_cost(body))
        video = text(value_at(body, "video.url"))
        if video is not None and not status.word:
            return replace(status, state=State.DONE)
        is_withheld = video is None and value_at(body, "video.respect_moderation") is False
        if status.state is State.DONE and is_withheld:
            why = ContentRejectedError(
                "xai withholds the video: its moderation objects",
                hint="change the prompt or the image",
            )
            return replace(status, state=State.FAILED, error=why)
        return status


def _cost(body: JsonValue) -> Cost | None:
    """Return what was billed."""
    ticks = number(value_at(body, "usage.cost_in_usd_ticks"))
    if ticks is None or ticks < 0:
        return None
    return Cost(usd=ticks / _TICKS_IN_A_DOLLAR, source="xai")
