"""From arguments to a call that an app took on: connected, checked by what the app is, called."""

import asyncio
from dataclasses import dataclass

from pydantic import JsonValue

from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    Fault,
)
from media_agent.redact import redact
from media_agent.storage.network import TROUBLE, reason_of
from media_agent_hosted.base.service import Connection
from media_agent_hosted.providers.gradio.bounds import BoundedOrigin, in_daemon_thread
from media_agent_hosted.providers.gradio.errors import error_of_call
from media_agent_hosted.providers.gradio.options import GradioOptions, list_problems
from media_agent_hosted.providers.gradio.session import Session


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one endpoint of one app, for the section `name` of the settings."""

    name: str
    host: str
    connection: Connection
    options: GradioOptions
    secrets: frozenset[str]

    async def connect(self, arguments: dict[str, JsonValue]) -> Session:
        """Read what the app is, and check the call by it; nothing is submitted.

        Raises:
            BackendUnavailableError: it cannot be reached.
            ConfigurationError: it has no such endpoint, or that has other parameters.
            BackendResponseError: it is no app that can be called.
        """
        try:
            session, api = await self._open_session()
        except TROUBLE as error:
            why = redact(reason_of(error), self.secrets)
            raise BackendUnavailableError(
                f"{self.host} cannot be reached ({why})", hint="is the app running?"
            ) from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise BackendResponseError(
                f"{self.host} does not answer as a Gradio app: {redact(str(error), self.secrets)}",
                hint=f"check backends.{self.name}.base_url and the key",
            ) from None
        problems = list(list_problems(api, self.options.endpoint, arguments))
        if problems:
            await in_daemon_thread(session.close)
            place = ("backends", self.name, "options")
            reasons = "; ".join(reason for _, reason in problems)  # all of one option
            raise ConfigurationError(
                f"{'.'.join(place)}.{problems[0][0]}: {reasons}",
                faults=[Fault((*place, option), reason) for option, reason in problems],
            )
        return session

    async def _open_session(self) -> tuple[Session, JsonValue]:
        """Return a connection, and what the app says of its endpoints."""
        seconds = self.options.timeout_seconds
        origin = BoundedOrigin(self.connection.base_url, self.connection.auth, seconds)
        try:
            async with asyncio.timeout(seconds):
                session = await in_daemon_thread(Session, self.connection.base_url, origin)
                return session, await in_daemon_thread(session.read_api)
        except BaseException:
            origin.is_closed = True
            raise

    async def call(self, session: Session, arguments: dict[str, JsonValue]) -> str:
        """Call the endpoint, and return the app's name for the call.

        Raises:
            SubmitUncertainError: it may have been taken on.
            MediaAgentError: it was not.
        """
        seconds = self.options.timeout_seconds
        await in_daemon_thread(session.call, self.options.endpoint, arguments)
        name = await in_daemon_thread(session.wait_for_name, seconds)
        if name is not None:
            return name
        error = session.error() if session.is_over else TimeoutError("no answer in time")
        raise error_of_call(error, self.host, self.secrets) from None
