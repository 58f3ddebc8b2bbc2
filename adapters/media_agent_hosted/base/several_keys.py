"""One provider, several keys: each job goes to a key that is free, and stays with it.

A key that says no before anything was accepted (it is asked too often, without credit, or refused)
gives the job to the next one. Limits are kept by each process for itself.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from weakref import WeakValueDictionary

from aiolimiter import AsyncLimiter

from media_agent.backend.protocol import BackendSettings, LimitedKey, VideoBackend
from media_agent.backend.sending import promise_to_report
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    ConfigurationError,
    MediaAgentError,
    to_info,
)
from media_agent_hosted.http.retry import asks_to_wait, repeat
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import ChangePrompt, Finish, KeyRefusal, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

_REST = 10.0  # seconds, where a provider does not say how long to wait
_REMEMBERED = 1000  # submissions of this process, as many as each backend remembers
_LOGGER = logging.getLogger(__name__)

Refusals = dict[str, MediaAgentError]
"""The keys that said no to one submission, by name, and why."""


def make_with_keys(
    factory: Callable[[BackendSettings], VideoBackend], settings: BackendSettings
) -> VideoBackend:
    """Build a backend; where the settings give it several keys, one for each behind a face."""
    if not settings.keys:
        return factory(settings)
    return BackendWithKeys(
        [Lane(each, factory(_settings_for(each, settings))) for each in settings.keys]
    )


def _settings_for(key: LimitedKey, settings: BackendSettings) -> BackendSettings:
    return replace(settings, key=key.key, keys=(key,), key_problem=key.problem)


@dataclass
class Lane:
    """One key: the backend that uses it, and how much of its limits is taken."""

    limits: LimitedKey
    backend: VideoBackend
    at_work: set[str] = field(default_factory=set)
    """Names of the jobs at work; of one that is being submitted, our own key for it."""
    is_aside: bool = False
    """Whether it was refused, or had no credit, in this run."""
    rests_until: float = 0.0
    """Until when others go before it, by the clock of the loop: it was used too often."""

    def __post_init__(self) -> None:
        most = self.limits.requests_per_minute
        # evenly spaced: a bucket of `most` would let twice as many through in its first minute
        self._pace = None if most is None else AsyncLimiter(1, 60 / most)

    @property
    def name(self) -> str:
        """The name of the key in the settings."""
        return self.limits.name

    @property
    def has_room(self) -> bool:
        """Whether another job may be at work with it."""
        return self.limits.concurrent is None or len(self.at_work) < self.limits.concurrent

    @property
    def load(self) -> tuple[bool, float]:
        """How busy it is: whether it must be waited for, and how much of its room is taken."""
        waits = self._pace is not None and not self._pace.has_capacity()
        waits = waits or asyncio.get_running_loop().time() < self.rests_until
        return waits, len(self.at_work) / (self.limits.concurrent or 1)

    def note(self, error: BackendAuthenticationError | BackendRateLimitError) -> None:
        """Let others go before it for a while; put it aside where waiting does not help."""
        if isinstance(error, BackendRateLimitError):
            pause = _REST if error.retry_after is None else error.retry_after
            self.rests_until = asyncio.get_running_loop().time() + pause
        else:
            self.is_aside = True

    async def wait_for_turn(self) -> None:
        """Wait until its limit allows another submission."""
        if self._pace is not None:
            await self._pace.acquire()


class BackendWithKeys:
    """Meets the `VideoBackend` protocol by a backend for each key."""

    def __init__(
        self, lanes: Sequence[Lane], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._lanes = lanes
        self._sleep = sleep
        self._changed = asyncio.Condition()
        self._sent: dict[str, tuple[Lane, OperationRef]] = {}  # by our own key for the work
        self._submitting = WeakValueDictionary[str, asyncio.Lock]()  # as long as somebody submits
        there = (lane for lane in lanes if lane.limits.key is not None)
        self._face = next(there, lanes[0]).backend

    @property
    def name(self) -> str:
        """Return the name that all of them have."""
        return self._face.name

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; a key is missing only where none is there."""
        return self._face.capabilities(model)

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say what the request would cost."""
        return self._face.estimate(request)

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Send the request with one key, as soon as its limits allow it.

        Raises:
            BackendRateLimitError, BackendAuthenticationError: every key said no.
            MediaAgentError: as of a backend with one key.
        """
        promise_to_report()
        async with self._submitting.setdefault(key, asyncio.Lock()):
            if key in self._sent:
                lane, ref = self._sent[key]
                await lane.backend.submit(request, key=key, resume=resume)  # another one is refused
                return ref
            refusals: Refusals = {}

            async def offer() -> OperationRef:
                return await self._offer(request, key, resume, refusals)

            return await repeat(offer, self._sleep, may_repeat=asks_to_wait)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work whose answer was lost, with every key: nobody knows which was used.

        Raises:
            MediaAgentError: none of them knows it, and one could not say so for certain.
        """
        trouble: MediaAgentError | None = None
        for lane in self._lanes:
            try:
                ref = await lane.backend.find(request, key=key, since=since)
            except MediaAgentError as error:  # with a key that is refused now, for example
                trouble = trouble or error
                continue
            if ref is not None:
                return ref.model_copy(update={"key_name": lane.name})
        if trouble is not None:
            raise trouble
        return None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Poll with the key that the work was submitted with."""
        lane = self._lane_of(ref)
        lane.at_work.add(ref.operation_id)
        try:
            async with aclosing(lane.backend.observe(ref)) as events:
                async for event in events:
                    yield event
        finally:
            await self._leave(lane, ref.operation_id)

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Hand a command on."""
        await self._lane_of(ref).backend.control(ref, command, number=number)

    async def cancel(self, ref: OperationRef) -> None:
        """Ask to stop, with the key that the work was submitted with."""
        await self._lane_of(ref).backend.cancel(ref)

    async def aclose(self) -> None:
        """Close the connections of all keys."""
        for lane in self._lanes:
            await lane.backend.aclose()

    async def _offer(
        self, request: VideoRequest, key: str, resume: ResumeToken | None, refusals: Refusals
    ) -> OperationRef:
        """Offer work to one key after another; only a no about the key leads to the next.

        Those put aside are tried only where no other is left.

        Raises:
            MediaAgentError: every key said no; or one said no to the work, or may have taken it.
        """
        left = [lane for lane in self._lanes if not lane.is_aside] or [*self._lanes]
        asked: Refusals = {}
        while left:
            lane = await self._enter(left, key)
            left.remove(lane)
            try:
                await lane.wait_for_turn()
                ref = await lane.backend.submit(request, key=key, resume=resume)
                lane.at_work.add(ref.operation_id)
            except (BackendAuthenticationError, BackendRateLimitError) as error:
                lane.note(error)
                asked[lane.name] = refusals[lane.name] = error
                _LOGGER.info("key %s of %s is refused: %s", lane.name, self.name, error.message)
                continue
            finally:
                await self._leave(lane, key)
            lane.is_aside = False
            return self._remember(key, lane, ref, refusals)
        raise _join(asked, self.name)

    def _remember(
        self, key: str, lane: Lane, ref: OperationRef, refusals: Refusals
    ) -> OperationRef:
        """Return the reference with the key that has the work, and those that refused it."""
        refused = tuple(
            KeyRefusal(key_name=name, error=to_info(error)) for name, error in refusals.items()
        )
        ref = ref.model_copy(update={"key_name": lane.name, "refused_keys": refused})
        self._sent[key] = lane, ref
        for old in list(self._sent)[: len(self._sent) - _REMEMBERED]:
            del self._sent[old]
        return ref

    async def _enter(self, lanes: Sequence[Lane], key: str) -> Lane:
        """Take a place with the key that is least busy, as soon as one of them has room."""
        async with self._changed:
            if not any(lane.has_room for lane in lanes):
                names = ", ".join(lane.name for lane in lanes)
                _LOGGER.info("%s: as many jobs as %s may have are at work", self.name, names)
            await self._changed.wait_for(lambda: any(lane.has_room for lane in lanes))
            lane = min((each for each in lanes if each.has_room), key=lambda each: each.load)
            lane.at_work.add(key)
            return lane

    async def _leave(self, lane: Lane, name: str) -> None:
        lane.at_work.discard(name)
        async with self._changed:
            self._changed.notify_all()

    def _lane_of(self, ref: OperationRef) -> Lane:
        """Return the key of work; the first one, if it was submitted when there was no other.

        Raises:
            ConfigurationError: the settings do not have it any more.
        """
        if ref.key_name is None:
            return self._lanes[0]
        found = next((lane for lane in self._lanes if lane.name == ref.key_name), None)
        if found is None:
            raise ConfigurationError(
                f"{ref.operation_id} was submitted with key {ref.key_name} of {self.name}, which "
                "the settings do not have any more",
                hint=f"add it again under [backends.{self.name}.keys.{ref.key_name}]",
            )
        return found


def _join(refusals: Refusals, name: str) -> MediaAgentError:
    """Return in one error that every key said no; what asks to wait may work later."""
    errors = [*refusals.values()]
    if len(errors) == 1:
        return errors[0]
    said = "; ".join(f"{key}: {error.message}" for key, error in refusals.items())
    message = f"every key of {name} was refused: {said}"
    waits = [error for error in errors if isinstance(error, BackendRateLimitError)]
    if not waits:
        return BackendAuthenticationError(message, hint="check the keys and their credit there")
    asked = [error.retry_after for error in waits if error.retry_after is not None]
    after = min(asked) if len(asked) == len(waits) else None
    return BackendRateLimitError(message, retry_after=after, hint="try again later")
