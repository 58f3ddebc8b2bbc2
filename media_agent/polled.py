"""The base of backends that are services elsewhere: their author writes `submit_once` and `status`.

Pacing, the deadline, cancelling, and the rule that a failed poll is no failed job are done here.
"""

import asyncio
import contextlib
import math
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from media_agent.backend import BackendSettings
from media_agent.errors import (
    BackendRateLimitError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    GenerationFailedError,
    IdempotencyConflictError,
    JobCancelledError,
    MediaAgentError,
    ModelRetiredError,
    NotResumableError,
    OperationNotFoundError,
    RequestError,
    UnsupportedRequestError,
    VideoNotFetchedError,
    to_info,
)
from media_agent.files import checked_key
from media_agent.sending import goes_along, sending, will_tell
from media_agent_schemas.capabilities import Capabilities, Estimate, OptionSpec
from media_agent_schemas.events import (
    BackendEvent,
    JobCancelled,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

__all__ = ["DEADLINE", "QUEUED", "PolledBackend", "goes_along", "sending"]

QUEUED = "queued"
"""The phase of work that waits at the provider; every other phase is work that has started."""

DEADLINE = OptionSpec(
    name="deadline_seconds",
    type="number",
    minimum=1,
    description="Stop waiting for the film after so many seconds of waiting, and ask the provider "
    "to stop; whoever resumes it waits as long again, and stops nothing.",
)
"""An option that every polled backend understands, to be listed in its capabilities."""

_GROWTH = 1.25  # each pause between two polls is longer than the last by this factor
_REFUSED_POLL = (RequestError, ModelRetiredError)  # about the poll, not about the work
_UNANSWERED_POLL = (BackendUnavailableError, BackendResponseError)
_LONGEST_WISH = 120.0  # seconds between two polls, whatever the provider asks for
_STOP_SECONDS = 0.7  # that a film has to arrive in when the job is to stop
_REMEMBERED = 1000  # submissions of this process that are answered from memory


@dataclass
class _Watch:
    """What this process knows of one operation beside what the provider says."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    waited: float = 0.0
    """Seconds of pauses between polls: a clock also counts when nobody waits, and it jumps."""
    wished_pause: float = 0.0
    cancel_asked_at: float | None = None  # of what was waited
    cancel_is_refused: bool = False
    is_fetching: bool = False
    is_first: bool = False
    """Whether this process sent the work and was answered ever since: nobody has resumed it."""


class PolledBackend(ABC):
    """Meets the `VideoBackend` protocol for services that are asked again and again."""

    poll_seconds: ClassVar[float] = 2.0
    """First pause between two polls; the next ones grow."""
    longest_poll_seconds: ClassVar[float] = 15.0
    """Longest pause, unless the provider asks for a longer one."""
    deadline_seconds: ClassVar[float] = 7200.0
    """How long a film is waited for, unless the option says otherwise."""
    cancel_grace_seconds: ClassVar[float] = 30.0
    """How long the provider may take to confirm that it stopped."""
    bills: ClassVar[bool] = True
    """Whether work costs money; one's own servers send no bill."""
    tells_when_sending: ClassVar[bool] = False
    """Whether `submit_once` sends what may be accepted within `sending()`, and nowhere else."""

    def __init__(
        self,
        settings: BackendSettings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self._clock = clock  # seconds since 1970: a deadline outlives this process
        self._sleep = sleep
        self._submitted: dict[str, tuple[VideoRequest, OperationRef]] = {}
        self._submitting: dict[str, asyncio.Lock] = {}
        self._watches: dict[str, _Watch] = {}
        self._is_closed = False

    @property
    @abstractmethod
    def name(self) -> str:
        """Return the name under which the registry knows this backend."""

    @abstractmethod
    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; None is the default model. Pure data, no I/O."""

    @abstractmethod
    def estimate(self, request: VideoRequest) -> Estimate:
        """Say what the request would cost in money and time, None where unknown. No I/O."""

    @abstractmethod
    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Send the request to the provider, once; say in the reference all that finds it again.

        Raises:
            SubmitUncertainError: it was sent, and nobody knows whether it was accepted.
            MediaAgentError: it was not accepted.
        """

    @abstractmethod
    async def status(self, ref: OperationRef) -> BackendEvent:
        """Ask the provider once: `JobProgressed` (phase "queued" while it waits) or the end.

        Raises:
            BackendUnavailableError: it could not be asked; that says nothing about the work.
            BackendRateLimitError: asked too often; it is asked again later.
            OperationNotFoundError: the provider knows nothing of it.
        """

    async def cancel_once(self, ref: OperationRef) -> None:
        """Ask the provider to stop; harmless when the work is over.

        Raises:
            UnsupportedRequestError: the provider cannot stop it, which is what this base says.
        """
        raise UnsupportedRequestError(f"{self.name} cannot stop work that it has accepted")

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Send the request unless this process has already; same key and request, same work."""
        if self._is_closed:
            raise BackendUnavailableError(f"{self.name} was closed")
        if resume is not None:
            raise NotResumableError(f"{self.name} cannot go on from a token")
        async with self._submitting.setdefault(checked_key(key), asyncio.Lock()):
            known = self._known(request, key)
            if known is not None:
                return known
            deadline = self._deadline(request)  # first: a fault in it must not lose a paid job
            if self.tells_when_sending:
                will_tell()
            ref = await self.submit_once(request, key=key)
            ref = self._stamped(ref, key, self._clock(), deadline)
            self._remember(key, request, ref)
            self._watch(ref).is_first = True
            return ref

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Return what this process submitted under the key; providers with a lookup say more."""
        known = self._submitted.get(key)
        return known[1] if known is not None and known[0] == request else None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Poll until the end, ever more slowly; what has not changed is not repeated."""
        watch = self._watch(ref)
        pause = self._number("poll_seconds", self.poll_seconds)
        last: BackendEvent | None = None
        has_started = False
        while True:
            event = await self._look(ref, watch)
            end = event if isinstance(event, TerminalEvent) else self._cancelled(ref, watch)
            if end is None and watch.waited >= _allowed(ref):
                end = await self._too_late(ref, watch)
            if not has_started and _has_begun(event if end is None else end):
                has_started = True
                yield JobStarted()
            if end is not None:
                self._watches.pop(ref.operation_id, None)
                yield end
                return
            if event is not None and event != last:
                last = event
                yield event
            await self._pause(ref, watch, pause)
            pause = min(pause * _GROWTH, max(pause, self.longest_poll_seconds))

    async def control(self, ref: OperationRef, command: ChangePrompt | Finish) -> None:
        """Refuse: a polled service is not steered.

        Raises:
            UnsupportedRequestError: always.
        """
        raise UnsupportedRequestError(f"{self.name}/{ref.model} takes no {command.type}")

    async def cancel(self, ref: OperationRef) -> None:
        """Ask the provider to stop; where it cannot, stop waiting and say so."""
        watch = self._watch(ref)
        watch.cancel_asked_at = watch.waited  # a poll may see its effect before its answer is here
        try:
            await self.cancel_once(ref)
        except UnsupportedRequestError:
            watch.cancel_is_refused = True
        except BaseException:
            watch.cancel_asked_at = None
            raise
        watch.wake.set()

    async def aclose(self) -> None:
        """Take no more work; what the provider works on goes on there."""
        self._is_closed = True

    def postpone(self, ref: OperationRef, seconds: float | None) -> None:
        """Poll no sooner than in so many seconds, because the provider said so; None: no wish."""
        if seconds is not None:
            watch = self._watch(ref)
            wished = min(seconds, max(_LONGEST_WISH, self.longest_poll_seconds))
            watch.wished_pause = max(watch.wished_pause, wished)

    def waited(self, ref: OperationRef) -> float:
        """Return for how many seconds this process has paused between polls of it."""
        return self._watch(ref).waited

    def film_path(self, ref: OperationRef) -> Path:
        """Return where to put a film that only the backend itself can fetch; its folder exists."""
        folder = self.settings.data_dir / "work" / checked_key(str(ref.data.get("key", "")))
        folder.mkdir(parents=True, exist_ok=True)
        self._watch(ref).is_fetching = True
        return folder / "video.mp4"

    async def _look(self, ref: OperationRef, watch: _Watch) -> BackendEvent | None:
        """Poll once; None: asked too often, nothing new. After a cancel a failure is its effect.

        Raises:
            BackendUnavailableError: it could not be asked, or refused the poll, which says nothing
                about the work; and there is a point in asking again.
            OperationNotFoundError: the provider knows nothing of it.
        """
        try:
            event = await self._asked(ref, watch)
        except BackendRateLimitError as error:
            wished = error.retry_after
            self.postpone(ref, self.longest_poll_seconds if wished is None else wished)
            return None
        except VideoNotFetchedError as error:  # the work is over; a resume fetches it
            info = to_info(error)
            again = "media-agent jobs resume fetches it again"
            way_out = f"{info.hint}; {again}" if info.hint else again
            info = info.model_copy(update={"hint": way_out})
            return JobOutcomeUnknown(model=ref.model, error=info)
        except (*_UNANSWERED_POLL, *_REFUSED_POLL) as error:
            watch.is_first = False
            end = self._cancelled(ref, watch)
            if end is None:
                hint = None if isinstance(error, _REFUSED_POLL) else error.hint
                raise BackendUnavailableError(error.message, hint=hint) from error
            return end
        except OperationNotFoundError:
            if watch.cancel_asked_at is None:
                raise
            return JobCancelled(model=ref.model)
        if watch.cancel_asked_at is not None and isinstance(event, JobFailed):
            facts = event.model_dump(exclude={"type", "error"})
            said = f"{self.name} said after the cancel: {event.error.message}"
            return JobCancelled.model_validate({**facts, "warnings": (*event.warnings, said)})
        return event

    async def _asked(self, ref: OperationRef, watch: _Watch) -> BackendEvent:
        """Poll; a film that is still on its way when the job is to stop is left to a later run."""
        watch.is_fetching = False
        polling = asyncio.ensure_future(self.status(ref))
        try:
            while not polling.done():
                is_last = watch.is_fetching and watch.cancel_asked_at is not None
                await asyncio.wait({polling}, timeout=_STOP_SECONDS)
                if is_last and not polling.done():
                    stopped = JobCancelledError(
                        f"the job was stopped while the film of {ref.operation_id} was fetched"
                    )
                    return JobOutcomeUnknown(model=ref.model, error=to_info(stopped))
            return polling.result()
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    def _cancelled(self, ref: OperationRef, watch: _Watch) -> JobCancelled | None:
        """Return the end when a cancel was asked for, and no more is to be heard of it."""
        asked_at = watch.cancel_asked_at
        if watch.cancel_is_refused:
            billed = " and is billed" if self.bills else ""
            warning = f"{self.name} cannot stop {ref.operation_id}: it goes on there{billed}"
            return JobCancelled(model=ref.model, warnings=(warning,))
        if asked_at is None or watch.waited < asked_at + self.cancel_grace_seconds:
            return None
        warning = (
            f"{self.name} took the cancel of {ref.operation_id} and has not confirmed it: "
            f"{self._may_finish}"
        )
        return JobCancelled(model=ref.model, warnings=(warning,))

    async def _too_late(self, ref: OperationRef, watch: _Watch) -> JobOutcomeUnknown:
        """Return the end of the waiting; what was resumed is wanted, and is not stopped."""
        said = f"{self.name} has not finished {ref.operation_id} within {_allowed(ref):g} s"
        if watch.is_first:
            with contextlib.suppress(MediaAgentError):
                await self.cancel_once(ref)
            said += " and was asked to stop"
        too_late = GenerationFailedError(
            f"{said}; {self._may_finish}",
            hint=f"look for it at {self.name}, or allow more with the option deadline_seconds",
        )
        return JobOutcomeUnknown(model=ref.model, error=to_info(too_late))

    @property
    def _may_finish(self) -> str:
        return f"it may still finish{' and be billed' if self.bills else ''}"

    async def _pause(self, ref: OperationRef, watch: _Watch, seconds: float) -> None:
        """Sleep, as long as the provider wishes, but through no cancel and no deadline."""
        ends = [_allowed(ref)]
        if watch.cancel_asked_at is not None:
            ends.append(watch.cancel_asked_at + self.cancel_grace_seconds)
        wished = max(seconds, watch.wished_pause)
        seconds = max(0.0, min(wished, *(end - watch.waited for end in ends)))
        tasks = (
            asyncio.ensure_future(self._sleep(seconds)),
            asyncio.ensure_future(watch.wake.wait()),
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                watch.waited += seconds
                watch.wished_pause = 0.0
        finally:
            for task in tasks:
                task.cancel()
            watch.wake.clear()

    def _stamped(
        self, ref: OperationRef, key: str, submitted_at: float, deadline: float
    ) -> OperationRef:
        """Return a reference with what this base needs of it in any process."""
        stamp = {"key": key, "submitted_at": submitted_at, "deadline_seconds": deadline}
        return ref.model_copy(update={"data": {**stamp, **ref.data}})

    def _watch(self, ref: OperationRef) -> _Watch:
        return self._watches.setdefault(ref.operation_id, _Watch())

    def _known(self, request: VideoRequest, key: str) -> OperationRef | None:
        known = self._submitted.get(key)
        if known is None:
            return None
        if known[0] != request:
            raise IdempotencyConflictError(f"key {key!r} belongs to another request")
        return known[1]

    def _remember(self, key: str, request: VideoRequest, ref: OperationRef) -> None:
        self._submitted[key] = (request, ref)
        for old in list(self._submitted)[: len(self._submitted) - _REMEMBERED]:
            del self._submitted[old]
            self._submitting.pop(old, None)

    def _deadline(self, request: VideoRequest) -> float:
        """Return how long this film may take, in seconds."""
        given = request.options.get(self.name, {}).get("deadline_seconds")
        allowed = self._number("deadline_seconds", self.deadline_seconds)
        return float(given) if isinstance(given, int | float) else allowed

    def _number(self, name: str, default: float) -> float:
        """Return a number above zero from the settings of this backend."""
        value = self.settings.options.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigurationError(
                f"option {name} of {self.name} is {value!r}, not a number above zero",
                hint=f"correct it in the settings under [backends.{self.name}.options]",
            )
        return float(value)


def _allowed(ref: OperationRef) -> float:
    """Return how many seconds are waited for work, without end where nobody said."""
    allowed = ref.data.get("deadline_seconds")
    return allowed if isinstance(allowed, int | float) else math.inf


def _has_begun(event: BackendEvent | None) -> bool:
    """Whether an event shows that the work no longer waits; what failed may never have begun."""
    match event:
        case JobProgressed():
            return event.phase != QUEUED
        case None | JobFailed() | JobCancelled() | JobOutcomeUnknown():
            return False
    return True
