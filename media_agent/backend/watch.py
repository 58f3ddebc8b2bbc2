"""One piece of work at a service, asked after again and again: what an answer means, and no answer.

A failed poll says nothing about the work. Patience is counted in pauses and in looks at polls that
are not answered yet: a clock also counts when nothing waits, and it jumps.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from media_agent.backend.fence import await_plugin
from media_agent.backend.hints import Hint
from media_agent.errors import (
    BackendRateLimitError,
    BackendResponseError,
    BackendUnavailableError,
    GenerationFailedError,
    JobCancelledError,
    MediaAgentError,
    ModelRetiredError,
    OperationNotFoundError,
    RequestError,
    UnsupportedRequestError,
    VideoNotFetchedError,
    to_info,
)
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import (
    BackendEvent,
    JobCancelled,
    JobFailed,
    JobOutcomeUnknown,
)
from media_agent_schemas.jobs import Cancellation, OperationRef

_REFUSED_POLL = (RequestError, ModelRetiredError)  # about the poll, not about the work
_UNANSWERED_POLL = (BackendUnavailableError, BackendResponseError)
_LONGEST_PAUSE = 120.0  # seconds between two polls, whatever the provider asks for
_STOP_SECONDS = 0.7  # that a video has to arrive in when the job is to stop


@dataclass(frozen=True, slots=True)
class Service:
    """What is to be known of a service to watch work there, and how it is asked."""

    name: str
    bills: bool
    longest_poll_seconds: float
    cancel_grace_seconds: float
    status: Callable[[OperationRef], Awaitable[BackendEvent]]
    cancel: Callable[[OperationRef], Awaitable[None]]


class Watch:
    """What this process knows of one operation, in addition to the provider's replies."""

    def __init__(self, service: Service, ref: OperationRef) -> None:
        self._service = service
        self.ref = ref
        self.waited = 0.0
        """Seconds of pauses between polls, and of polls that are not answered soon."""
        self.is_fetching = False
        self.is_first = False
        """Whether this process sent the work and was answered ever since: nobody resumed it."""
        self._wake = asyncio.Event()
        self._requested_pause = 0.0
        self._cancel_asked_at: float | None = None  # of what was waited
        self._cancel_is_refused = False

    @property
    def is_over(self) -> bool:
        """Whether it was waited for as long as it is allowed to take."""
        return self.waited >= self._allowed

    def request_pause(self, seconds: float) -> None:
        """Poll no sooner than in so many seconds, within reason."""
        requested = min(seconds, max(_LONGEST_PAUSE, self._service.longest_poll_seconds))
        self._requested_pause = max(self._requested_pause, requested)

    async def cancel(self) -> None:
        """Ask the provider to stop; where it cannot, no more is waited for."""
        self._cancel_asked_at = self.waited  # a poll may see its effect before its answer is here
        try:
            await self._service.cancel(self.ref)
        except UnsupportedRequestError:
            self._cancel_is_refused = True
        except BaseException:
            self._cancel_asked_at = None
            raise
        self._wake.set()

    async def look(self) -> BackendEvent | None:
        """Poll once; None: asked too often, nothing new. After a cancel a failure is its effect.

        Raises:
            BackendUnavailableError: it could not be asked, or refused the poll, which says nothing
                about the work; and there is a point in asking again.
            OperationNotFoundError: the provider knows nothing of it.
        """
        try:
            event = await self._poll()
        except BackendRateLimitError as error:
            requested = error.retry_after
            self.request_pause(
                self._service.longest_poll_seconds if requested is None else requested
            )
            return None
        except VideoNotFetchedError as error:  # the work is over; a resume fetches it
            return self._end_unfetched(to_info(error))
        except (*_UNANSWERED_POLL, *_REFUSED_POLL) as error:
            if self.is_fetching and isinstance(error, _REFUSED_POLL):  # about the video
                return self._end_unfetched(to_info(error))
            self.is_first = False
            if (end := self.end_cancelled()) is not None:
                return end
            hint = None if isinstance(error, _REFUSED_POLL) else error.hint
            raise BackendUnavailableError(error.message, hint=hint) from error
        except OperationNotFoundError:
            if self._cancel_asked_at is None:
                raise
            return JobCancelled(model=self.ref.model)
        if self._cancel_asked_at is not None and isinstance(event, JobFailed):
            facts = event.model_dump(exclude={"type", "error"})
            said = f"{self._service.name} reported after the cancel: {event.error.message}"
            stopped = Cancellation(stopped=True, said=said)
            return JobCancelled.model_validate({**facts, "cancellation": stopped})
        return event

    def end_cancelled(self) -> JobCancelled | None:
        """Return the terminal event of a cancelled operation once the waiting is over."""
        name, work = self._service.name, self.ref.operation_id
        if self._cancel_is_refused:
            said = f"{name} cannot stop {work}: it continues there"
            continues = Cancellation(stopped=False, said=said)
            return JobCancelled(model=self.ref.model, cancellation=continues)
        asked_at = self._cancel_asked_at
        if asked_at is None or self.waited < asked_at + self._service.cancel_grace_seconds:
            return None
        said = f"{name} took the cancel of {work} and has not confirmed it: it may still finish"
        unsure = Cancellation(stopped="unknown", said=said)
        return JobCancelled(model=self.ref.model, cancellation=unsure)

    async def give_up(self) -> JobOutcomeUnknown:
        """Return the end of the waiting; what was resumed is wanted, and is not stopped."""
        name = self._service.name
        said = f"{name} has not finished {self.ref.operation_id} within {self._allowed:g} s"
        if self.is_first:
            with contextlib.suppress(MediaAgentError):
                await self._service.cancel(self.ref)
            said += " and was asked to stop"
        too_late = GenerationFailedError(
            f"{said}; {self._may_finish}",
            hint=f"look for it at {name}, or allow more with the option deadline_seconds",
        )
        return JobOutcomeUnknown(model=self.ref.model, error=to_info(too_late))

    async def pause(
        self, seconds: float, sleep: Callable[[float], Awaitable[None]], hint: Hint
    ) -> None:
        """Sleep as long as the provider requested, but not beyond a cancel or the deadline.

        A hint ends it, unless the provider requested it.
        """
        seconds = self._limit(seconds)
        asleep = asyncio.ensure_future(sleep(seconds))
        tasks = [asleep, asyncio.ensure_future(self._wake.wait())]
        if not self._requested_pause:
            tasks.append(asyncio.ensure_future(hint.wait()))
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if asleep.done():
                self.waited += seconds
                self._requested_pause = 0.0
            elif not self._wake.is_set():  # hints must not put the deadline off
                self.waited += min(seconds, asyncio.get_running_loop().time() - began)
        finally:
            for task in tasks:
                task.cancel()
            self._wake.clear()
            hint.clear()

    def take_pause(self, seconds: float) -> float:
        """Return the seconds to sleep, as `pause` does, counted as waited before they are over."""
        seconds = self._limit(seconds)
        self._requested_pause = 0.0
        self.waited += seconds
        return seconds

    def _limit(self, seconds: float) -> float:
        """Return a pause as the provider requested it, but not beyond a cancel or the deadline."""
        ends = [self._allowed]
        if self._cancel_asked_at is not None:
            ends.append(self._cancel_asked_at + self._service.cancel_grace_seconds)
        wanted = max(seconds, self._requested_pause)
        return max(0.0, min(wanted, *(end - self.waited for end in ends)))

    async def _poll(self) -> BackendEvent:
        """Poll; a video that is still on its way when the job is to stop is left to a later run.

        Raises:
            BackendUnavailableError: no answer came, and no more is waited for.
        """
        self.is_fetching = False
        status = self._service.status(self.ref)
        polling = asyncio.create_task(await_plugin(f"{self._service.name}: status()", status))
        try:
            while not polling.done():
                is_last = self.is_fetching and self._cancel_asked_at is not None
                await asyncio.wait({polling}, timeout=_STOP_SECONDS)
                if not polling.done() and not self.is_fetching:
                    self.waited += _STOP_SECONDS
                    if self.waited >= self._longest_wait:
                        raise BackendUnavailableError(f"{self._service.name} does not answer")
                if is_last and not polling.done():
                    said = f"the video of {self.ref.operation_id} was fetched"
                    stopped = JobCancelledError(f"the job was stopped while {said}")
                    return JobOutcomeUnknown(model=self.ref.model, error=to_info(stopped))
            return polling.result()
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    def _end_unfetched(self, info: ErrorInfo) -> JobOutcomeUnknown:
        again = "media-agent jobs resume fetches it again"
        way_out = f"{info.hint}; {again}" if info.hint else again
        info = info.model_copy(update={"hint": way_out})
        return JobOutcomeUnknown(model=self.ref.model, error=info)

    @property
    def _allowed(self) -> float:
        """The number of seconds to wait; infinite where none is given."""
        allowed = self.ref.data.get("deadline_seconds")
        return allowed if isinstance(allowed, int | float) else math.inf

    @property
    def _longest_wait(self) -> float:
        """The number of seconds after which an answer is not waited for: the last look has time."""
        asked_at = self._cancel_asked_at
        end = self._allowed if asked_at is None else min(self._allowed, asked_at)
        return end + self._service.cancel_grace_seconds

    @property
    def _may_finish(self) -> str:
        return f"it may still finish{' and be billed' if self._service.bills else ''}"
