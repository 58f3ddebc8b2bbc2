"""The base of backends that are services elsewhere: their author writes `submit_once` and `status`.

Pacing, the deadline, cancelling, and the rule that a failed poll is no failed job are done here.
"""

import asyncio
import hashlib
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import ClassVar
from weakref import WeakValueDictionary

from media_agent.backend.protocol import BackendSettings, NamedBackend
from media_agent.backend.sending import promise_to_report, record_input, report_refusal, sending
from media_agent.backend.watch import Service, Watch
from media_agent.concealing import without_keys
from media_agent.errors import (
    BackendUnavailableError,
    ConfigurationError,
    IdempotencyConflictError,
    NotResumableError,
    UnsupportedRequestError,
)
from media_agent.storage.files import checked_key
from media_agent_schemas.events import (
    BackendEvent,
    JobCancelled,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

__all__ = ["DEADLINE", "QUEUED", "PolledBackend", "record_input", "report_refusal", "sending"]

QUEUED = "queued"
"""The phase of work that waits at the provider; every other phase is work that has started."""

DEADLINE = OptionSpec(
    name="deadline_seconds",
    type="number",
    minimum=1,
    description="Stop waiting for the video after so many seconds of waiting, and ask the provider "
    "to stop; whoever resumes it waits as long again, and stops nothing.",
)
"""An option that every polled backend understands, to be listed in its capabilities."""

_GROWTH = 1.25  # each pause between two polls is longer than the last by this factor
_REMEMBERED = 1000  # submissions of this process that are answered from memory


class PolledBackend(NamedBackend):
    """Meets the `VideoBackend` protocol for services that are asked again and again."""

    poll_seconds: ClassVar[float] = 2.0
    """First pause between two polls; the next ones grow."""
    longest_poll_seconds: ClassVar[float] = 15.0
    """Longest pause, unless the provider asks for a longer one."""
    deadline_seconds: ClassVar[float] = 7200.0
    """How long a video is waited for, unless the option says otherwise."""
    cancel_grace_seconds: ClassVar[float] = 30.0
    """How long the provider may take to confirm that it stopped."""
    bills: ClassVar[bool] = True
    """Whether work costs money; one's own servers send no bill."""
    tells_when_sending: ClassVar[bool] = False
    """Whether `submit_once` sends what may be accepted within `sending()`, and reads its answer."""

    def __init__(
        self,
        settings: BackendSettings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(settings)
        self._clock = clock  # seconds since 1970, to read dates by
        self._sleep = sleep
        self._submitted: dict[str, tuple[str, OperationRef]] = {}  # with the digest of a request
        self._submitting = WeakValueDictionary[str, asyncio.Lock]()  # as long as somebody submits
        self._watches: dict[str, Watch] = {}
        self._is_closed = False

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
            raise NotResumableError(f"{self.name} cannot resume from a token")
        async with self._submitting.setdefault(checked_key(key), asyncio.Lock()):
            known = self._known(request, key)
            if known is not None:
                return known
            deadline = self._deadline(request)  # first: a fault in it must not lose a paid job
            if self.tells_when_sending:
                promise_to_report()
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
        return known[1] if known is not None and known[0] == _digest(request) else None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Poll until the end, ever more slowly; what has not changed is not repeated."""
        watch = self._watch(ref)
        pause = self.first_pause
        last: BackendEvent | None = None
        has_started = False
        with self.settings.hints.listen(self.name, ref.operation_id) as hint:
            while True:
                event = await self.look(ref)
                if not has_started and has_begun(event):
                    has_started = True
                    yield JobStarted()
                if isinstance(event, TerminalEvent):
                    self._watches.pop(ref.operation_id, None)
                    yield event
                    return
                if event is not None and event != last:
                    last = event
                    yield event
                await watch.pause(pause, self._sleep, hint)
                pause = self.next_pause(pause)

    async def look(self, ref: OperationRef) -> BackendEvent | None:
        """Poll once; None: asked too often, nothing new. `observe` is this with pauses between.

        That no more is waited for is said again by the next look, until `observe` has told an end.

        Raises:
            BackendUnavailableError: it could not be asked, which says nothing about the work.
            OperationNotFoundError: the provider knows nothing of it.
        """
        watch = self._watch(ref)
        try:
            event = await watch.look()
        except BackendUnavailableError:
            if not watch.is_over:
                raise
            event = None
        end = event if isinstance(event, TerminalEvent) else watch.end_cancelled()
        if end is None and watch.is_over:
            end = await watch.give_up()
        return event if end is None else end

    @property
    def first_pause(self) -> float:
        """Seconds between the first two polls."""
        return self._number("poll_seconds", self.poll_seconds)

    def next_pause(self, pause: float) -> float:
        """Return the seconds to the poll after the next, if `pause` is before the next."""
        return min(pause * _GROWTH, max(pause, self.longest_poll_seconds))

    def take_pause(self, ref: OperationRef, seconds: float) -> float:
        """Return how long to wait before the next `look`, and count it as waited.

        That is as long as the provider requested, but not beyond a cancel or the deadline; for
        whoever waits for many operations at once.
        """
        return self._watch(ref).take_pause(seconds)

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Refuse: a polled service is not steered.

        Raises:
            UnsupportedRequestError: always.
        """
        raise UnsupportedRequestError(f"{self.name}/{ref.model} takes no {command.type}")

    async def cancel(self, ref: OperationRef) -> None:
        """Ask the provider to stop; where it cannot, stop waiting and say so."""
        await self._watch(ref).cancel()

    async def aclose(self) -> None:
        """Take no more work; what the provider works on continues there."""
        self._is_closed = True

    def postpone(self, ref: OperationRef, seconds: float | None) -> None:
        """Poll no sooner than in so many seconds, if the provider said so; None: it did not."""
        if seconds is not None:
            self._watch(ref).request_pause(seconds)

    def waited(self, ref: OperationRef) -> float:
        """Return for how many seconds this process has waited for it."""
        return self._watch(ref).waited

    def video_path(self, ref: OperationRef) -> Path:
        """Return where to put a video that only the backend itself can fetch; its folder exists."""
        folder = self.settings.data_dir / "work" / checked_key(str(ref.data.get("key", "")))
        folder.mkdir(parents=True, exist_ok=True)
        self._watch(ref).is_fetching = True
        return folder / "video.mp4"

    def _stamped(
        self, ref: OperationRef, key: str, submitted_at: float, deadline: float
    ) -> OperationRef:
        """Return a reference with what this base needs of it in any process.

        When it was submitted is for people alone: no patience is read off a clock.
        """
        stamp = {"key": key, "submitted_at": submitted_at, "deadline_seconds": deadline}
        return ref.model_copy(update={"data": {**stamp, **ref.data}})

    def _known_ids(self) -> set[str]:
        """Return the ids of work whose reply came here: none of it is what is looked for."""
        return {ref.operation_id for _, ref in self._submitted.values()}

    def _watch(self, ref: OperationRef) -> Watch:
        known = self._watches.get(ref.operation_id)
        if known is None:
            service = Service(
                name=self.name,
                bills=self.bills,
                longest_poll_seconds=self.longest_poll_seconds,
                cancel_grace_seconds=self.cancel_grace_seconds,
                status=self.status,
                cancel=self.cancel_once,
            )
            known = self._watches[ref.operation_id] = Watch(service, ref)
        return known

    def _known(self, request: VideoRequest, key: str) -> OperationRef | None:
        known = self._submitted.get(key)
        if known is None:
            return None
        if known[0] != _digest(request):
            raise IdempotencyConflictError(f"key {key!r} belongs to another request")
        return known[1]

    def _remember(self, key: str, request: VideoRequest, ref: OperationRef) -> None:
        self._submitted[key] = (_digest(request), ref)
        for old in list(self._submitted)[: len(self._submitted) - _REMEMBERED]:
            del self._submitted[old]

    def _deadline(self, request: VideoRequest) -> float:
        """Return how long this video may take, in seconds."""
        if request.deadline is not None:
            return request.deadline
        given = request.options.get(self.name, {}).get("deadline_seconds")
        allowed = self._number("deadline_seconds", self.deadline_seconds)
        return float(given) if isinstance(given, int | float) else allowed

    def _number(self, name: str, default: float) -> float:
        """Return a number above zero from the settings of this backend."""
        value = self.settings.options.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            shown = without_keys(repr(value))
            raise ConfigurationError(
                f"option {name} of {self.name} is {shown}, not a number above zero",
                hint=f"correct it in the settings under [backends.{self.name}.options]",
            )
        return float(value)


def _digest(request: VideoRequest) -> str:
    """Return what tells a request from another one; itself it may hold images of many megabytes."""
    return hashlib.sha256(request.model_dump_json().encode()).hexdigest()


def has_begun(event: BackendEvent | None) -> bool:
    """Whether an event shows that the work no longer waits; what failed may never have begun."""
    match event:
        case JobProgressed():
            return event.phase != QUEUED
        case None | JobFailed() | JobCancelled() | JobOutcomeUnknown():
            return False
    return True
