"""MiniMax: H3 by version 2 of its API, and the older Hailuo models by version 1.

No key of ours is honoured, so a submission is sent once. The list of version 2 proves nothing: what
may be work whose reply was lost is only named. UNVERIFIED, so that both readings are taken: whether
tasks repeat their prompts, the code of rejected content in version 2, the HTTP status of an unknown
task, how long videos are kept.
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, JsonValue

from media_agent.errors import GenerationFailedError, MediaAgentError, OperationNotFoundError
from media_agent.storage.addresses import parsed_address
from media_agent_hosted.base.calls import Call, Status, Submission
from media_agent_hosted.base.listed import since_by_its_clock, unproven
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend, ProviderOptions
from media_agent_hosted.base.service import Connection
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.lenient import number, text, unwrap, value_at
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.minimax.body import OLDER, build_body, path_of
from media_agent_hosted.providers.minimax.errors import (
    error_of_content,
    error_of_poll,
    error_of_submission,
    words_of,
)
from media_agent_hosted.providers.minimax.lookup import (
    PAGE,
    PAGES,
    PATH,
    candidates,
    is_before,
    tasks_in,
)
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["MiniMaxBackend", "MiniMaxOptions"]

_MAINLAND = "https://api.minimaxi.com"
_IMAGES_FREE = 2  # by the least of the prices in catalogue.yaml


class MiniMaxOptions(ProviderOptions):
    """The options under [backends.minimax.options]."""

    region: Literal["global", "mainland"] = Field(
        default="global", description="where the account is; mainland: api.minimaxi.com"
    )


class MiniMaxBackend(HostedBackend):
    """Meets the `VideoBackend` protocol for every video model at MiniMax."""

    kind = "minimax"
    address = "https://api.minimax.io"
    keys_at = "platform.minimax.io, under API Keys"
    options_type = MiniMaxOptions
    models = Models(Path(__file__).with_name("models.yaml"), provider="minimax", most_parts=1)
    work_id = "task_id"
    cancel_rule = CancelRule.QUEUED_ONLY
    cancelling_deletes = True
    lookup = "candidates"

    @property
    def region(self) -> str:
        """The region of the account, by its address or its options."""
        options, address = self.options, parsed_address(self.settings.base_url or "")
        assert isinstance(options, MiniMaxOptions)
        is_mainland = address is not None and address.host.endswith(".minimaxi.com")
        return "mainland" if is_mainland else options.region

    def connection(self) -> Connection:
        """Return the address of the region."""
        found = super().connection()
        if self.settings.base_url is not None or self.region == "global":
            return found
        return replace(found, base_url=_MAINLAND)

    def describe(self, model_id: str) -> Capabilities:
        """Say what a model can do; version 1 stops nothing, and has no list."""
        found = super().describe(model_id)
        known = self.models.by_id.get(model_id)
        if known is None or known.path != OLDER:
            return found
        return found.model_copy(update={"cancel_rule": CancelRule.NONE, "lookup": "none"})

    def build(self, submission: Submission) -> Call:
        """Return the call that submits a task."""
        return Call("POST", path_of(submission), json=build_body(submission))

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks for a task, by the version that took it."""
        if _is_older(ref):
            return Call("GET", "/v1/query/video_generation", params={"task_id": ref.operation_id})
        return Call("GET", f"{PATH}/{quote(ref.operation_id, safe='')}")

    def parse(self, body: JsonValue) -> Status:
        """Return how far a task is.

        Raises:
            BackendError: a code says that the question failed, which says nothing of the task.
            OperationNotFoundError: it is not known there.
        """
        said, status = unwrap(body), read_status(body)
        trouble = None if status.word else _unknown(words_of(said)) or error_of_poll(said)
        if trouble is not None:
            raise trouble
        status = replace(status, cost=_cost(said))
        if status.state is not State.FAILED:
            return status
        return replace(status, error=error_of_content(said) or _failure(said, status.word))

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        """Return what an HTTP error to a question means: its words say that a task is unknown."""
        body = reply.object()
        about_work = _unknown(reply.words()) or error_of_content(body)
        return about_work or error_of_poll(body, reply.retry_after)

    def result_after(self, ref: OperationRef, body: JsonValue) -> Call | None:
        """Return the call that tells where the file of a task of version 1 is."""
        file = text(value_at(unwrap(body), "file_id")) if _is_older(ref) else None
        return None if not file else Call("GET", "/v1/files/retrieve", params={"file_id": file})

    def results(self, body: JsonValue) -> JsonValue:
        """Return the video of a file, or of a task."""
        address = value_at(body, "file.download_url") or value_at(unwrap(body), "content.url")
        return None if address is None else {"video": {"url": address}}

    def cancellation(self, ref: OperationRef) -> Call | None:
        """Return the call that stops a task that waits; it says no where that has started."""
        if _is_older(ref):
            return None
        path = f"/v2/video_generation/{quote(ref.operation_id, safe='')}"
        return Call("DELETE", path, accepts=(400, 403, 404, 409, 422))

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what the code of a reply to a submission means, also with HTTP 200."""
        return error_of_submission(reply)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look through the list for the task whose reply was lost.

        Raises:
            BackendResponseError: the list proves nothing: what may be it is named.
        """
        known = await super().find(request, key=key, since=since)
        call = self.build(await self._submission(request, key, uploads=False))
        if known is not None or call.path == OLDER:
            return known
        taken = self._known_ids()
        listed = await self._newest(self._clock() - since.timestamp())
        sent = call.json if isinstance(call.json, dict) else {}
        names = candidates([task for task in listed if task.get("id") not in taken], sent)
        if not names:
            return None
        raise unproven(self._api.host, names, "does not prove which task is yours")

    async def _newest(self, ago: float) -> list[Fields]:
        """Return the tasks that may have been made since so many seconds `ago`."""
        found = list[Fields]()
        for page in range(1, PAGES + 1):
            params = {"page_num": str(page), "page_size": str(PAGE)}
            reply = await self._poller.send(Call("GET", PATH, params=params))
            since, tasks = since_by_its_clock(reply, ago), tasks_in(reply.json())
            found += [task for task in tasks if not is_before(task, since)]
            if len(tasks) < PAGE or is_before(tasks[-1], since):
                break
        return found


def _is_older(ref: OperationRef) -> bool:
    return ref.data.get("path") == OLDER


def _cost(said: Fields) -> Cost | None:
    """Return the seconds that are billed; None: it does not say, or more than seconds is billed."""
    seconds = number(value_at(said, "usage.total_seconds"))
    images = number(value_at(said, "usage.input_image_count")) or 0
    audio = number(value_at(said, "usage.input_audio_seconds")) or 0
    if seconds is None or seconds <= 0 or images > _IMAGES_FREE or audio > 0:
        return None
    return Cost(seconds=seconds, source="minimax")


def _unknown(words: str) -> OperationNotFoundError | None:
    if cause_of((), words) is not Cause.UNKNOWN_WORK:
        return None
    return OperationNotFoundError(f"minimax says: {words}")


def _failure(said: Fields, word: str) -> MediaAgentError:
    words = words_of(said)
    why = words if words and words != "success" else f"{word}, and not why"
    return GenerationFailedError(f"minimax says: {why}", hint="make it again")
