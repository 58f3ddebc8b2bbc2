"""What others ask of a job at work: to stop, and commands; each reaches its backend once."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable

from media_agent.errors import MediaAgentError
from media_agent.jobs.running.current_work import CurrentWork
from media_agent_schemas.jobs import ChangePrompt

_LOGGER = logging.getLogger(__name__)
_LONGEST_CALL = 30.0  # seconds that a backend has to take a command, or a request to stop


class Steering:
    """Hands on what is asked of the work of one run."""

    def __init__(self, work: CurrentWork) -> None:
        self.last_command = 0
        """The number of the last command that was handed over."""
        self._work = work
        self._store = work.context.store
        self._is_stopping = False
        self._is_stopped = False
        self._stop = asyncio.Lock()
        self._commanding = asyncio.Lock()

    @property
    def is_stopping(self) -> bool:
        """Whether its backend has yet to hear that it is to stop."""
        return self._is_stopping and not self._is_stopped

    async def stop(self) -> None:
        """Ask the backend to stop.

        A backend that cannot be told is told again later; why is a warning of the job.

        Raises:
            OwnershipLostError: another process took the job over; nothing is stopped.
        """
        self._is_stopping = True
        await self.stop_if_asked()

    async def take_commands(self) -> None:
        """Hand the commands for the job to its backend, each once in this run.

        What the backend refuses, or breaks at, becomes a warning of the job: who said it may be
        gone.
        """
        if self._work.ref is None:
            return
        async with self._commanding:
            for number, command in self._store.commands.read(self._work.job.id, self.last_command):
                self.last_command = number
                if isinstance(command, ChangePrompt) and command.amended is not None:
                    self._work.warn(f"the new prompt {command.prompt!r} is of {command.amended}")
                try:
                    await _await_answer(
                        self._work.backend.control(self._work.ref, command, number=number)
                    )
                except MediaAgentError as error:
                    self._work.warn(f"{command.type} was refused: {error.message}")
                except Exception as error:  # a plugin's own, kept as data
                    _LOGGER.debug("%s broke", self._work.backend.name, exc_info=True)
                    self._work.warn(f"{command.type} broke: {type(error).__name__}: {error}")

    def is_asked_to_stop(self) -> bool:
        """Return whether the job is to stop; a ledger that cannot be read now does not say so.

        Raises:
            OwnershipLostError: another process owns the job.
        """
        with contextlib.suppress(MediaAgentError):
            if self._store.owners.is_cancel_requested(self._work.job.id):
                return True
        return self._is_stopping

    async def stop_if_asked(self) -> None:
        """Stop the backend, once; until it has heard it, each call tries again."""
        async with self._stop:
            if self._is_stopped or self._work.has_ended or self._work.ref is None:
                return
            if not self.is_asked_to_stop():
                return
            try:
                await _await_answer(self._work.backend.cancel(self._work.ref))
            except Exception as error:  # noqa: BLE001  # a plugin's own; the request outlives it
                self._work.warn(f"{self._work.backend.name} could not be stopped: {error}")
            else:
                self._is_stopped = True

    async def let_go(self) -> None:
        """Stop the backend, quietly; segments continue, as jobs of their own."""
        if self._work.ref is not None and not self._work.job.plan.segments:
            with contextlib.suppress(Exception):  # a plugin's own
                await _await_answer(self._work.backend.cancel(self._work.ref))


async def _await_answer(call: Awaitable[None]) -> None:
    """Wait for what a backend does soon, or else never does.

    Raises:
        TimeoutError: it has not answered.
    """
    try:
        async with asyncio.timeout(_LONGEST_CALL):
            await call
    except TimeoutError:
        raise TimeoutError("no answer in time") from None
