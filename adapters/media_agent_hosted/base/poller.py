"""Asks a provider about work that it accepted: how far it is, for its videos, and to stop.

An answer may be about other work, about the poll alone, or in words that nobody documented: only
what the provider says plainly, or again and again, ends the work.
"""

import contextlib
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Literal, Protocol

from media_agent.backend.polled import PolledBackend
from media_agent.errors import (
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    to_info,
)
from media_agent.storage.addresses import parsed_address
from media_agent_hosted.base.calls import Answer, Call, End, Status
from media_agent_hosted.base.hooks import PollHooks
from media_agent_hosted.base.identity import answer_about
from media_agent_hosted.base.outcomes import event_of
from media_agent_hosted.base.patience import Patience, end_of_poll, may_be_of_poll
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.replies import Reply, Translate
from media_agent_hosted.http.urls import place_of
from media_agent_hosted.parsing.refusals import provider_code_in, refusal_in
from media_agent_hosted.parsing.states import State, may_be_done, state_of
from media_agent_schemas.events import BackendEvent, JobFailed, JobOutcomeUnknown, JobProgressed
from media_agent_schemas.jobs import OperationRef

_NOT_YET = (405, 409, 425)
"""Besides 400: what a provider may answer to whoever asks for a result too early."""
_VERDICTS = (ContentRejectedError, InvalidRequestError, GenerationFailedError)


class _FailedError(GenerationFailedError):
    """The provider's word, in an HTTP error to a poll, that work failed."""

    def __init__(self, why: MediaAgentError) -> None:
        super().__init__(why.message)
        self.why = why


class Finish(Protocol):
    """Looks for the videos of work, by the answer that tells them."""

    def __call__(self, ref: OperationRef, answer: Answer, *, is_over: bool) -> Awaitable[End]:
        """Return the end; outcome unknown: they are not there, or not yet."""
        ...


class Poller:
    """Polls one service: its hooks say which calls there are, its backend how long was waited."""

    def __init__(
        self, hooks: PollHooks, backend: PolledBackend, api: HttpApi, finish: Finish
    ) -> None:
        self._hooks = hooks
        self._backend = backend
        self._api = api
        self._finish = finish
        self._patience = Patience()

    @property
    def who(self) -> str:
        """The name of the backend, as messages say it."""
        return self._backend.name

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Ask how far work is; once it is done, for its videos.

        Raises:
            BackendUnavailableError: it could not be asked; that says nothing about the work.
            OperationNotFoundError: the provider does not know it.
        """
        try:
            reply = await self.ask(ref)
        except _FailedError as error:
            return JobFailed(error=to_info(error.why), model=ref.model)
        self._backend.postpone(ref, reply.retry_after)
        if reply.status in (202, 204) and not reply.content.strip():
            return JobProgressed(phase="working")
        return await self._judge(ref, reply)

    async def ask(self, ref: OperationRef) -> Reply:
        """Poll once, and return the answer as it is.

        Raises:
            BackendUnavailableError: it could not be asked; that says nothing about the work.
            OperationNotFoundError: the provider does not know it.
            GenerationFailedError: it failed, as an HTTP error says.
        """
        call = self._hooks.poll(ref)
        try:
            return await self._ask_about(ref, call, call.accepts, tells_end=True)
        except OperationNotFoundError as error:
            raise self._explain(error, ref, call) from error

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
        is_accepted: Callable[[Reply], bool] | None = None,
        translate: Translate | None = None,
        unpack_to: Path | None = None,
    ) -> Reply:
        """Send a call that costs nothing."""
        if call.is_keyless:
            method: Literal["POST", "PUT"] = "PUT" if call.method == "PUT" else "POST"
            return await self._api.send_elsewhere(
                method, call.path, files=call.files, content=call.content, headers=call.headers
            )
        return await self._api.send(
            call.method,
            place or call.path,
            json=call.json,
            files=call.files,
            content=call.content,
            params=call.params,
            headers=call.headers,
            accepts=call.accepts if accepts is None else accepts,
            is_accepted=is_accepted,
            translate=translate,
            unpack_to=unpack_to,
        )

    async def _judge(self, ref: OperationRef, reply: Reply) -> BackendEvent:
        """Return what an answer to a poll means."""
        hooks, work, waited = self._hooks, ref.operation_id, self._backend.waited(ref)
        body = answer_about(
            reply, work, hooks.work_id, state=hooks.state_place, result=hooks.result_place
        )
        try:
            status = hooks.read(body, ref)
        except MediaAgentError as error:
            error.with_provider_code(provider_code_in(body))
            raise
        event = event_of(status, body, self._backend.name, ref.model)
        if event is None:
            return await self._end(ref, Answer(reply, body, status))
        refusal = refusal_in(body, status.why)
        if refusal and _says_failed(status) and may_be_of_poll(refusal, body, work):
            return end_of_poll(refusal, self._patience, ref, waited, reply.host, says_failed=True)
        if status.state is not None:
            self._patience.forget(work)
            return event
        if refusal is not None and (refusal.is_plain or not status.word):
            return end_of_poll(refusal, self._patience, ref, waited, reply.host)
        is_stuck = self._patience.is_stuck(work, status.word, waited)
        if is_stuck and self._may_be_over(ref, status):
            return await self._end(ref, Answer(reply, body, status), event)
        return event

    def _may_be_over(self, ref: OperationRef, status: Status) -> bool:
        """Whether work in an unknown state may be looked for: a video is not fetched in vain."""
        is_likely = status.may_be_over or status.fraction == 1.0 or may_be_done(status.word)
        if self._hooks.content(ref) is None or is_likely:
            return True
        waited, deadline = self._backend.waited(ref), ref.data.get("deadline_seconds")
        return self._patience.is_long_stuck(ref.operation_id, waited, deadline)

    async def _end(
        self, ref: OperationRef, polled: Answer, otherwise: BackendEvent | None = None
    ) -> BackendEvent:
        """Return the end; `otherwise` where nobody said that it is over, and it is not."""
        call, answer = self._hooks.result_after(ref, polled.body), polled
        if call is not None:
            found = await self._ask_for_result(ref, call, otherwise)
            if not isinstance(found, Reply):
                return found
            answer = Answer(found, found.json(), polled.status)
        event = await self._finish(ref, answer, is_over=otherwise is None)
        if isinstance(event, JobOutcomeUnknown):
            return otherwise or self._late(ref, event)
        self._patience.forget(ref.operation_id)
        return event

    async def _ask_for_result(
        self, ref: OperationRef, call: Call, otherwise: BackendEvent | None
    ) -> Reply | BackendEvent:
        """Ask for the videos: the answer, or what it means that there is none."""
        accepts = (400, *call.accepts, *(_NOT_YET if otherwise is not None else ()))
        try:
            reply = await self._ask_about(ref, call, accepts)
        except _VERDICTS as error:
            return JobFailed(error=to_info(error), model=ref.model)
        except OperationNotFoundError as error:  # its status was found just now
            lost = JobOutcomeUnknown(error=to_info(error), model=ref.model)
            return otherwise or self._late(ref, lost)
        if reply.status >= 400 and (otherwise is not None or not reply.is_html):
            return otherwise or JobProgressed(phase="collect")  # "still in progress"
        answer_about(reply, ref.operation_id, self._hooks.work_id, usual=False)
        return reply

    def _late(self, ref: OperationRef, end: JobOutcomeUnknown) -> BackendEvent:
        return self._patience.late(ref.operation_id, self._backend.waited(ref), end)

    async def _ask_about(
        self, ref: OperationRef, call: Call, accepts: Collection[int], *, tells_end: bool = False
    ) -> Reply:
        """Ask about accepted work; where nobody knows it, at the other place where it can be.

        An HTTP error to a poll, which `tells_end`, may be the provider's word about the work.
        """

        def send(place: str) -> Awaitable[Reply]:
            return self.send(
                call,
                place,
                accepts,
                is_accepted=lambda reply: tells_end and self._hooks.tells_state(reply, ref),
                translate=lambda reply: self._translate(reply, ref, tells_end=tells_end),
                unpack_to=self._backend.video_path(ref) if call.unpacks else None,
            )

        *others, last = self._places(ref, call)
        for place in others:
            with contextlib.suppress(OperationNotFoundError, BackendResponseError):
                return await send(place)
        return await send(last)

    def _translate(
        self, reply: Reply, ref: OperationRef, *, tells_end: bool
    ) -> MediaAgentError | None:
        """Return what an HTTP error means; where another call tells the end, a poll never does."""
        has_result = self._hooks.result(ref) is not None
        if tells_end and has_result:
            return None
        why = self._hooks.verdict(reply, ref)
        return _FailedError(why) if tells_end and isinstance(why, _VERDICTS) else why

    def _places(self, ref: OperationRef, call: Call) -> list[str]:
        """Return where a provider answers about accepted work: at its own address, nowhere else.

        Behind another host it may name addresses that the key must not go to, or that lack what
        stands before its paths there; where it answers below base_url is known.
        """
        named = ref.data.get(call.named) if call.named is not None else None
        own = [named] if isinstance(named, str) and self._api.has(named) else []
        return [*dict.fromkeys([*own, self._api.below_base(call.path)])]

    def _explain(
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


def _says_failed(status: Status) -> bool:
    """Whether a poll says in a word that something failed: work called done failed by itself."""
    return status.state is State.FAILED and state_of(status.word) is not State.DONE
