"""The base of backends that are services over HTTP: one connection, and one way to poll.

What an odd answer to a poll means is decided by `Poller`, for all of them.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

from pydantic import SecretStr

from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import ConfigurationError, GenerationFailedError, OperationNotFoundError
from media_agent_hosted.base.calls import Answer, End
from media_agent_hosted.base.hooks import PollHooks
from media_agent_hosted.base.outcomes import late_video
from media_agent_hosted.base.poller import Poller
from media_agent_hosted.http.auth import Auth
from media_agent_hosted.http.client import HttpApi, Transport
from media_agent_hosted.http.replies import Translate
from media_agent_hosted.parsing.states import State
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import OperationRef


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a service is, and how it is reached."""

    base_url: str
    auth: Auth
    allow_plain_http: bool
    timeout_seconds: float

    def open(
        self,
        secrets: Collection[SecretStr],
        *,
        waits_to_submit: bool = True,
        transport: Transport | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> HttpApi:
        """Return the service there; nothing is sent. For `waits_to_submit` see `HttpApi`.

        Raises:
            ConfigurationError: the address is wrong.
        """
        return HttpApi(
            self.base_url,
            auth=self.auth,
            secrets=secrets,
            allow_plain_http=self.allow_plain_http,
            timeout_seconds=self.timeout_seconds,
            waits_to_submit=waits_to_submit,
            transport=transport,
            sleep=sleep,
        )


class Means(TypedDict, total=False):
    """What tests replace: the network, the time, and waiting."""

    transport: Transport | None
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class ServiceBackend(PollHooks, PolledBackend):
    """Meets the `VideoBackend` protocol, but for submitting, for a service that is polled."""

    tells_when_sending = True

    def __init__(
        self,
        settings: BackendSettings,
        *,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read the settings; nothing is sent.

        Raises:
            ConfigurationError: an option or the address is wrong.
        """
        super().__init__(settings, clock=clock, sleep=sleep)
        found = self.connection()
        self._known_api: HttpApi | None = None
        if found is not None:
            self._known_api = found.open(
                settings.secrets,
                waits_to_submit=not settings.keys,
                transport=transport,
                sleep=sleep,
            )

    @abstractmethod
    def connection(self) -> Connection | None:
        """Return where the service is, by the settings; None: nobody says, which is refused later.

        Raises:
            ConfigurationError: an option or the address is wrong.
        """

    @abstractmethod
    async def finish(self, ref: OperationRef, answer: Answer, *, is_over: bool) -> End:
        """Return the end of work, by the answer that tells its videos; outcome unknown: none yet.

        `is_over` says whether the service called it done, or only repeated an unknown word.

        Raises:
            VideoNotFetchedError: the video of work that is over is there, and cannot be had.
        """

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Ask how far work is, and for its videos once it is done."""
        self._check_region(ref)
        return await self._poller.status(ref)

    async def cancel_once(self, ref: OperationRef) -> None:
        """Ask the service to stop, where it can."""
        self._check_region(ref)
        call = self.cancellation(ref)
        if call is None:
            await super().cancel_once(ref)
        elif not (self.cancelling_deletes and await self._is_over(ref)):
            await self._poller.cancel(call, ref)

    async def aclose(self) -> None:
        """Close the connections; the service continues its work."""
        await super().aclose()
        if self._known_api is not None:
            await self._known_api.aclose()

    async def download(
        self,
        ref: OperationRef,
        url: str,
        *,
        asked: str | None = None,
        translate: Translate = late_video,
        number: int = 0,
    ) -> Path:
        """Fetch a video that may need the key, from an address in the answer that `asked` gave.

        `number` counts the videos of one piece of work, from 0.
        """
        path = self.video_path(ref)
        path = path if number == 0 else path.with_name(f"{path.stem}-{number + 1}{path.suffix}")
        await self._api.download(url, path, asked=asked, translate=translate)
        return path

    def _check_region(self, ref: OperationRef) -> None:
        """Refuse to ask about work in a region that does not know it, and might call it lost.

        Raises:
            ConfigurationError: it was accepted in another region than the settings choose now.
        """
        accepted_in = ref.data.get("region", self.region)
        if accepted_in != self.region:
            raise ConfigurationError(
                f"{self.name} accepted {ref.operation_id} in {accepted_in}; it is set to "
                f"{self.region} now",
                hint=f'set region = "{accepted_in}" under [backends.{self.name}.options]',
            )

    async def _is_over(self, ref: OperationRef) -> bool:
        """Ask whether work has ended, with a video or without, or is gone."""
        try:
            status = self.read((await self._poller.ask(ref)).object(), ref)
        except (GenerationFailedError, OperationNotFoundError):  # by its status, or by its words
            return True
        return status.state in (State.DONE, State.FAILED, State.CANCELLED)

    @property
    def _api(self) -> HttpApi:
        """The service, whose address need not be known before it is asked.

        Raises:
            ConfigurationError: it is not known.
        """
        if self._known_api is None:
            raise ConfigurationError(
                f"{self.name} lacks a base_url: where is your server?",
                hint=f'set base_url = "http://localhost:30000/v1" under [backends.{self.name}]',
            )
        return self._known_api

    @cached_property
    def _poller(self) -> Poller:
        return Poller(self, self, self._api, self.finish)
