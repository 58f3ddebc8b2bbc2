"""A fence around the code of plugins: whatever it does, the plugin is named and the rest goes on."""

import logging
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import TypeVar, cast

from media_agent.backend import VideoBackend
from media_agent.errors import MediaAgentError, PluginError
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)
_MEMBERS = ("capabilities", "estimate", "submit", "find", "observe", "control", "cancel", "aclose")
_LONGEST = 300  # characters of what a plugin says
WAY_OUT = "update, repair or uninstall the package it comes from"

Answer = TypeVar("Answer")


def fenced(who: str, call: Callable[[], object], kind: type[Answer]) -> Answer:
    """Call the code of a plugin, which must return at once, and check what it returns.

    Its own errors of our tree are meant and pass, and so does Ctrl-C. A cancellation cannot be one
    of our task, since nothing is awaited here: like an exit, it is something that the plugin raised.

    Raises:
        PluginError: it raised anything else, or returned something else; it names `who`.
    """
    try:
        answer = call()
    except (MediaAgentError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may do anything
        raise PluginError(f"{who} raised {in_words(error)}", hint=WAY_OUT) from error
    if not isinstance(answer, kind):
        raise PluginError(f"{who} is {_shown(answer)}, not {kind.__name__}", hint=WAY_OUT)
    return answer


def in_words(error: BaseException) -> str:
    """Return the kind of an error and what it says, on one line; it may even fail to say it."""
    name = type(error).__name__
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  # its text is code of the plugin too
        return name
    return f"{name}: {said[:_LONGEST]}" if said else name


class FencedBackend:
    """Meets the `VideoBackend` protocol by asking a plugin's backend, behind the fence.

    What happens to work that was begun is the business of its workflow: only what plans and lists
    ask is fenced here.
    """

    def __init__(self, plugin: str, name: str, make: Callable[[], object]) -> None:
        """Make the backend `name` of a plugin.

        Raises:
            PluginError: it cannot be made, or what is made is no backend.
        """
        self._who = f"plugin {plugin}: backend {name}"
        who = f"plugin {plugin}: the factory of backend {name}"
        self._inner = cast("VideoBackend", fenced(who, lambda: _checked(make()), object))
        self._name = fenced(f"{self._who}: name", lambda: self._inner.name, str)

    @property
    def name(self) -> str:
        """Return its name, as it was when it was made."""
        return self._name

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do."""
        who = f"{self._who}: capabilities({'' if model is None else repr(model)})"
        return fenced(who, lambda: self._inner.capabilities(model), Capabilities)

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say what the request would cost in money and time."""
        who = f"{self._who}: estimate()"
        return fenced(who, lambda: self._inner.estimate(request), Estimate)

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Hand the request on."""
        return await self._inner.submit(request, key=key, resume=resume)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work whose reply was lost."""
        return await self._inner.find(request, key=key, since=since)

    def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Return what happens."""
        return self._inner.observe(ref)

    async def control(self, ref: OperationRef, command: ChangePrompt | Finish) -> None:
        """Hand the command on."""
        await self._inner.control(ref, command)

    async def cancel(self, ref: OperationRef) -> None:
        """Ask to stop."""
        await self._inner.cancel(ref)

    async def aclose(self) -> None:
        """Close the backend; if it cannot be closed, the others are still to be."""
        try:
            await self._inner.aclose()
        except Exception as error:  # noqa: BLE001  # a plugin may do anything
            _LOGGER.warning("%s: aclose() raised %s", self._who, in_words(error))


def _checked(made: object) -> object:
    lacking = [member for member in _MEMBERS if not callable(getattr(made, member, None))]
    if lacking:
        raise TypeError(f"{_shown(made)} is no VideoBackend: it lacks {', '.join(lacking)}")
    return made


def _shown(value: object) -> str:
    """Return a value in a few words; None as it is, of all else the type."""
    return "None" if value is None else f"a value of type {type(value).__name__}"
