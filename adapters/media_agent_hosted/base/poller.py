"""Asks a provider about work that it accepted: how far it is, for its videos, and to stop.

An answer may be about other work, about the poll alone, or in words that nobody documented: only
what the provider says plainly, or again and again, ends the work.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from media_agent.backend.polled import PolledBackend
from media_agent.errors import (
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    VideoNotFetchedError,
    to_info,
)
from media_agent.storage.addresses import parsed_address
from media_agent.video.codec import describe
from media_agent_hosted.base.calls import Call, Status
from media_agent_hosted.base.hooks import Hooks
from media_agent_hosted.base.identity import answer_about
from media_agent_hosted.base.outcomes import (
    LateVideoError,
    completed,
    end_of_done,
    event_of,
    late_video,
)
from media_agent_hosted.base.patience import Patience
from media_agent_hosted.base.refusals import end_of_poll, may_be_of_poll, refusal_in
from media_agent_hosted.http.client import HttpApi, Reply, Translate
from media_agent_hosted.http.urls import place_of
from media_agent_hosted.parsing.states import State, may_be_done, state_of
from media_agent_schemas.events import (
    BackendEvent,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
)
from media_agent_schemas.jobs import OperationRef

_NOT_YET = (405, 409, 425)
"""Besides 400: what a provider may answer to whoever asks for a result too early."""
_VERDICTS = (ContentRejectedError, InvalidRequestError, GenerationFailedError)


class _FailedError(GenerationFailedError):
    """The provider's word, in an HTTP error to a poll, that work failed."""

    def __init__(self, why: MediaAgentError) -> None:
        super().__init__(why.message)
        self.why = why


class Poller:
    """Polls one provider: its hooks say which calls there are, its backend how long was waited."""

    def __init__(
        self, hooks: Hooks, backend: PolledBackend, api: HttpApi, clock: Callable[[], float]
    ) -> None:
        self._hooks = hooks
        self._backend = backend
        self._api = api
        self._clock = clock
        self._patience = Patience()

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Ask how far work is; once it is done, for its videos.

        Raises:
            BackendUnavailableError: it could not be asked; that says nothing about the work.
            OperationNotFoundError: the provider does not know it.
        """
        call = self._hooks.poll(ref)
        try:
            reply = await self._about(ref, call, call.accepts, self._verdict_of_poll(ref))
        except _FailedError as error:
            return JobFailed(error=to_info(error.why), model=ref.model)
        except OperationNotFoundError as error:
            raise self._explained(error, ref, call) from error
        self._backend.postpone(ref, reply.retry_after)
        if reply.status in (202, 204) and not reply.content.strip():
            return JobProgressed(phase="working")
        return await self._judged(ref, reply)

    async def cancel(self, call: Call, ref: OperationRef) -> None:
        """Ask the provider to stop; whether it did, the next poll says."""
        place = self._places(ref, call)[0]
        reply = await self.send(call, place)
        if reply.is_html:
            raise reply.senseless("a web page where an API was due")

    async def send(
        self,
        call: Call,
        place: str | None = None,
        accepts: Collection[int] | None = None,
        translate: Translate | None = None,
    ) -> Reply:
        """Send a call that costs nothing."""
        return await self._api.send(
            call.method,
            place or call.path,
            json=call.json,
            files=call.files,
            params=call.params,
            headers=call.headers,
            accepts=call.accepts if accepts is None else accepts,
            translate=translate,
        )

    async def _judged(self, ref: OperationRef, reply: Reply) -> BackendEvent:
        """Return what an answer to a poll means."""
        work, who, waited = ref.operation_id, self._backend.name, self._backend.waited(ref)
        body = answer_about(reply, work, self._hooks.work_id)
        status = self._hooks.parse(body)
        event = event_of(status, body, who, ref.model)
        if event is None:
            return await self._end(ref, reply, status)
        refusal = refusal_in(body)
        says_failed = state_of(status.word) is State.FAILED
        if refusal and says_failed and may_be_of_poll(refusal, body, work):
            return end_of_poll(refusal, self._patience, ref, waited, reply.host, says_failed=True)
        if status.state is not None:
            self._patience.forget(work)
            return event
        if refusal is not None and (refusal.is_plain or not status.word):
            return end_of_poll(refusal, self._patience, ref, waited, reply.host)
        is_stuck = self._patience.is_stuck(work, status.word, waited) and self._may_end(ref, status)
        return await self._end(ref, reply, status, event) if is_stuck else event

    def _may_end(self, ref: OperationRef, status: Status) -> bool:
        """Whether work in an unknown state may be looked for: a video is not fetched in vain."""
        if self._hooks.content(ref) is None or status.fraction == 1.0 or may_be_done(status.word):
            return True
        waited, deadline = self._backend.waited(ref), ref.data.get("deadline_seconds")
        return self._patience.is_long_stuck(ref.operation_id, waited, deadline)

    async def _end(
        self,
        ref: OperationRef,
        polled: Reply,
        status: Status,
        otherwise: BackendEvent | None = None,
    ) -> BackendEvent:
        """Return the end; `otherwise` where nobody said that it is over, and it is not."""
        call, reply = self._hooks.result(ref), polled
        if call is not None:
            found = await self._result(ref, call, otherwise)
            if not isinstance(found, Reply):
                return found
            reply = found
        path = self._hooks.content(ref)
        if path is None:
            event = end_of_done(reply, ref, status, expires_at=self._expiry())
        else:
            event = await self._fetched(ref, path, reply, status, is_over=otherwise is None)
        if isinstance(event, JobOutcomeUnknown):
            return otherwise or self._late(ref, event)
        self._patience.forget(ref.operation_id)
        warnings = ref.data.get("warnings")
        return event.model_copy(
            update={
                "verification": self._backend.capabilities(ref.model).verification,
                "warnings": tuple(map(str, warnings)) if isinstance(warnings, list) else (),
            }
        )

    async def _result(
        self, ref: OperationRef, call: Call, otherwise: BackendEvent | None
    ) -> Reply | BackendEvent:
        """Ask for the videos: the answer, or what it means that there is none."""
        accepts = (400, *call.accepts, *(_NOT_YET if otherwise is not None else ()))
        try:
            reply = await self._about(ref, call, accepts, self._hooks.verdict)
        except _VERDICTS as error:
            return JobFailed(error=to_info(error), model=ref.model)
        except OperationNotFoundError as error:  # its status was found just now
            lost = JobOutcomeUnknown(error=to_info(error), model=ref.model)
            return otherwise or self._late(ref, lost)
        if reply.status >= 400 and (otherwise is not None or not reply.is_html):
            return otherwise or JobProgressed(phase="collect")  # "still in progress"
        answer_about(reply, ref.operation_id, self._hooks.work_id, usual=False)
        return reply

    async def _fetched(
        self, ref: OperationRef, path: str, reply: Reply, status: Status, *, is_over: bool
    ) -> JobCompleted | JobOutcomeUnknown:
        """Fetch a video that only the key opens.

        Raises:
            VideoNotFetchedError: it is there, and cannot be had.
        """
        target = self._backend.video_path(ref)
        try:
            await self._api.download(path, target, translate=late_video)
        except (LateVideoError, VideoNotFetchedError) as error:
            if is_over and isinstance(error, VideoNotFetchedError):
                raise  # which was waited for already
            return JobOutcomeUnknown(error=to_info(error), model=ref.model)
        artifact = await asyncio.to_thread(describe, target)
        return completed((artifact,), reply.json(), ref, status)

    def _expiry(self) -> datetime | None:
        """Return until when a video that is done now is kept."""
        if self._hooks.keeps is None:
            return None
        return datetime.fromtimestamp(self._clock(), UTC) + self._hooks.keeps

    def _late(self, ref: OperationRef, end: JobOutcomeUnknown) -> BackendEvent:
        return self._patience.late(ref.operation_id, self._backend.waited(ref), end)

    def _verdict_of_poll(self, ref: OperationRef) -> Translate | None:
        """Return what reads a verdict out of a poll, where polls tell the end."""

        def verdict(reply: Reply) -> MediaAgentError | None:
            why = self._hooks.verdict(reply)
            return None if why is None else _FailedError(why)

        return verdict if self._hooks.result(ref) is None else None

    async def _about(
        self, ref: OperationRef, call: Call, accepts: Collection[int], translate: Translate | None
    ) -> Reply:
        """Ask about accepted work; where nobody knows it, at the other place where it can be."""
        *others, last = self._places(ref, call)
        for place in others:
            with contextlib.suppress(OperationNotFoundError, BackendResponseError):
                return await self.send(call, place, accepts, translate)
        return await self.send(call, last, accepts, translate)

    def _places(self, ref: OperationRef, call: Call) -> list[str]:
        """Return where a provider answers about accepted work: at its own address, nowhere else.

        Behind another host it may name addresses that the key must not go to, or that lack what
        stands before its paths there; where it answers below base_url is known.
        """
        named = ref.data.get(call.named) if call.named is not None else None
        own = [named] if isinstance(named, str) and self._api.has(named) else []
        return [*dict.fromkeys([*own, self._api.below_base(call.path)])]

    def _explained(
        self, error: OperationNotFoundError, ref: OperationRef, call: Call
    ) -> MediaAgentError:
        """Return the error for unknown work; it may have been accepted at another address."""
        named, who = ref.data.get(call.named or ""), self._backend.name
        parsed = parsed_address(named) if isinstance(named, str) else None
        if parsed is None or self._api.has(str(named)):
            return error
        where = f"{parsed.scheme}://{place_of(parsed)}"
        return OperationNotFoundError(
            f"{error.message}; {who} accepted {ref.operation_id} and answers about it at {where}",
            hint=f"if that is your {who}, set backends.{who}.base_url to {where}; the key goes "
            "to base_url only",
        )
