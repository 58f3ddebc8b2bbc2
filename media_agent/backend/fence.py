"""A fence around plugins: errors in their code name the plugin, and everything else continues."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import datetime
from types import NoneType
from typing import TypeVar, cast

from pydantic import ValidationError

from media_agent.backend.gpu_hours import by_the_hour
from media_agent.backend.protocol import VideoBackend
from media_agent.errors import MediaAgentError, PluginError
from media_agent.validation import in_words as faults_in_words
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import UNKNOWN, Estimate
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)
_MEMBERS = ("capabilities", "estimate", "submit", "find", "observe", "control", "cancel", "aclose")
_LONGEST = 300  # characters of what a plugin says
_SLOW_SECONDS = 2.0  # for what should take no time
MOST_MODELS = 1000
"""Models of a backend that are remembered; past that all of them are forgotten."""
PLUGIN_HINT = "update, repair or uninstall the package it comes from"

Answer = TypeVar("Answer")
Facts = TypeVar("Facts", Capabilities, Estimate)


class PluginBrokeError(Exception):
    """The code of a plugin did what is no error and no answer; it says nothing about the work."""


def call_plugin(who: str, call: Callable[[], object], kind: type[Answer]) -> Answer:
    """Call the code of a plugin, which must return at once, and check what it returns.

    Its own errors of our tree are meant and pass, and so does Ctrl-C. A cancellation cannot be one
    of our task, since nothing is awaited here: like an exit, the plugin raised it.

    Raises:
        PluginError: it raised anything else, or returned something else; it names `who`.
    """
    try:
        answer = call()
    except (MediaAgentError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may do anything
        raise PluginError(f"{who} raised {describe_error(error)}", hint=PLUGIN_HINT) from error
    if not isinstance(answer, kind):
        raise PluginError(
            f"{who} returned {_describe_value(answer)}, not {kind.__name__}", hint=PLUGIN_HINT
        )
    return answer


@contextmanager
def name_if_slow(who: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Warn of code of a plugin that delays everybody: it should take no time at all."""
    begin = clock()
    yield
    _warn_if_slow(who, clock() - begin)


def _warn_if_slow(who: str, seconds: float) -> None:
    if seconds > _SLOW_SECONDS:
        _LOGGER.warning("%s took %.1f s, and every command waits for it", who, seconds)


async def await_plugin(who: str, work: Awaitable[Answer]) -> Answer:
    """Wait for code of a plugin; its errors and our own cancellation pass through.

    Raises:
        PluginBrokeError: it raised what would have ended our task or process; it names `who`.
    """
    task = asyncio.current_task()
    try:
        return await work
    except asyncio.CancelledError as error:
        if task is None or task.cancelling():
            raise
        raise PluginBrokeError(f"{who} cancelled itself") from error
    except (SystemExit, GeneratorExit) as error:
        raise PluginBrokeError(f"{who} raised {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Return the kind of an error and what it says, on one line; it may even fail to say it."""
    name = type(error).__name__
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  # its text is code of the plugin too
        return name
    return f"{name}: {said[:_LONGEST]}" if said else name


class FencedBackend:
    """Meets the `VideoBackend` protocol by asking a plugin's backend, behind the fence.

    What becomes of work that was begun is the business of its workflow: errors there pass. But an
    exit is an error too, since it would end all the jobs of this process; and so is an answer that
    names no work, since what was begun by then is not to be begun again.
    """

    def __init__(
        self,
        plugin: str,
        kind: str,
        make: Callable[[], object],
        *,
        name: str | None = None,
        model: str | None = None,
        usd_per_gpu_hour: float | None = None,
    ) -> None:
        """Make a backend of a kind under a name, if another than its kind; `model` is its default.

        Work that sends no bill costs `usd_per_gpu_hour`; None: nothing.

        Raises:
            PluginError: it cannot be made, or what is made is no backend, or says it is another.
        """
        self._kind = kind
        self._model = model
        self._usd_per_gpu_hour = usd_per_gpu_hour
        self._checked: dict[str | None, tuple[Capabilities, Capabilities]] = {}
        self._who = f"plugin {plugin}: backend {kind}"
        who = f"plugin {plugin}: the factory of backend {kind}"
        self._inner = cast("VideoBackend", call_plugin(who, lambda: _check_members(make()), object))
        self._name = call_plugin(f"{self._who}: name", lambda: self._inner.name, str)
        if self._name != (name or kind):
            said = f"{self._who} says that its name is {self._name!r}, not {name or kind!r}"
            raise PluginError(said, hint=PLUGIN_HINT)

    @property
    def name(self) -> str:
        """Return its name, as it was when it was made."""
        return self._name

    @property
    def inner(self) -> VideoBackend:
        """The backend behind the fence, for what a base class of it does with many at once."""
        return self._inner

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; whose it is, is known here and not believed."""
        asked = self._model if model is None else model
        who = f"{self._who}: capabilities({'' if model is None else repr(model)})"
        said = self._ask(who, lambda: self._inner.capabilities(asked), Capabilities)
        known = self._checked.get(asked)
        if known is None or known[0] is not said:  # what says the same again is not checked again
            if len(self._checked) >= MOST_MODELS:  # callers of a server may make names up
                self._checked.clear()
            known = self._checked[asked] = said, self._check_capabilities(who, said)
        return known[1]

    def _check_capabilities(self, who: str, said: Capabilities) -> Capabilities:
        facts = self._check(who, said, Capabilities)
        changes: dict[str, object] = {"backend": self._name}
        if self._name != self._kind:
            changes["kind"] = self._kind
        if self._model is not None:  # the default comes first
            others = (each for each in facts.models if each != self._model)
            changes["models"] = (self._model, *others)
        return facts.model_copy(update=changes)

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say what the request would cost in money and time."""
        who = f"{self._who}: estimate()"
        said = self._ask(who, lambda: self._inner.estimate(request), Estimate)
        estimate = said if said is UNKNOWN else self._check(who, said, Estimate)
        return by_the_hour(estimate, self._usd_per_gpu_hour, request.deadline)

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Hand the request on.

        Raises:
            PluginBrokeError: it came back without a reference: it may have been accepted.
        """
        submitting = self._inner.submit(request, key=key, resume=resume)
        return await self._await_kind("submit()", submitting, OperationRef)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work whose reply was lost.

        Raises:
            PluginBrokeError: what it found is no reference.
        """
        finding = self._inner.find(request, key=key, since=since)
        return await self._await_kind("find()", finding, OperationRef, NoneType)

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Yield what happens."""
        async with aclosing(self._inner.observe(ref)) as events:
            while True:
                event = await await_plugin(f"{self._who}: observe()", anext(events, None))
                if event is None:
                    return
                yield event

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Hand the command on."""
        handing = self._inner.control(ref, command, number=number)
        await await_plugin(f"{self._who}: control()", handing)

    async def cancel(self, ref: OperationRef) -> None:
        """Ask to stop."""
        await await_plugin(f"{self._who}: cancel()", self._inner.cancel(ref))

    async def aclose(self) -> None:
        """Close the backend; if it cannot be closed, the others are still to be."""
        try:
            await await_plugin(f"{self._who}: aclose()", self._inner.aclose())
        except Exception as error:  # noqa: BLE001  # a plugin may do anything
            _LOGGER.warning("%s: aclose() raised %s", self._who, describe_error(error))

    def _ask(self, who: str, call: Callable[[], object], kind: type[Facts]) -> Facts:
        begin = time.monotonic()
        answer = call_plugin(who, call, kind)
        _warn_if_slow(who, time.monotonic() - begin)
        return answer

    def _check(self, who: str, facts: Facts, kind: type[Facts]) -> Facts:
        """Return what a call says, checked again: it may have been made without any check."""
        said = {name: value for name, value in facts if name in facts.model_fields_set}
        try:
            return kind.model_validate(said)
        except ValidationError as error:
            problem = faults_in_words(error, kind)
            raise PluginError(
                f"{who} returned an invalid {kind.__name__}: {problem}", hint=PLUGIN_HINT
            ) from None

    async def _await_kind(self, what: str, work: Awaitable[Answer], *kinds: type[object]) -> Answer:
        """Wait for an answer of the plugin, and check what it is."""
        answer = await await_plugin(f"{self._who}: {what}", work)
        if not isinstance(answer, kinds):
            raise PluginBrokeError(
                f"{self._who}: {what} returned {_describe_value(answer)}, not {kinds[0].__name__}"
            )
        return answer


def _check_members(made: object) -> object:
    lacking = [member for member in _MEMBERS if not callable(getattr(made, member, None))]
    if lacking:
        raise TypeError(
            f"{_describe_value(made)} is not a VideoBackend: it is missing {', '.join(lacking)}"
        )
    return made


def _describe_value(value: object) -> str:
    """Return a value in a few words; None as it is, of all else the type."""
    return "None" if value is None else f"a value of type {type(value).__name__}"
