"""Ctrl-C and SIGTERM: the first asks the work to stop, the second does not wait for it.

A video without an end has one step before: its first Ctrl-C finishes it.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

from media_agent.cli.screen import write_stderr
from media_agent.client import VideoClient
from media_agent.errors import MediaAgentError, in_full
from media_agent_schemas.plan import Plan

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_SOON = 2.0  # seconds
_STEP = "still stopping; the step under way ends first (press again to stop at once)"

Finisher = Callable[[], Awaitable[object]]


class Interruption:
    """Which signal came, if one did."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.finish: Finisher | None = None
        """What the first Ctrl-C does where stopping is not the way to end."""
        self.finishing: asyncio.Task[None] | None = None
        """The finisher at work, kept because the loop does not."""
        self.is_local = False
        """Whether the work is done on this machine, where a step cannot be broken off."""
        self.patience: asyncio.TimerHandle | None = None
        """Says why stopping takes so long, unless it is over before."""

    @property
    def exit_code(self) -> int:
        """Return 128 + the signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.number or signal.SIGINT)


@contextlib.contextmanager
def cancel_on_signals() -> Iterator[Interruption]:
    """Turn a signal into the cancellation of the current task."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    interruption = Interruption()

    def stop(number: int) -> None:
        if interruption.number is not None:
            os._exit(interruption.exit_code)  # nothing is half-done under a final name
        interruption.number = number
        write_stderr("stopping; the frames so far are kept (press again to stop at once)")
        if interruption.is_local:
            interruption.patience = loop.call_later(_SOON, write_stderr, _STEP)
        if task is not None:
            task.cancel()

    async def finish(number: int, ask: Finisher) -> None:
        try:
            await ask()
        except MediaAgentError as error:
            write_stderr(f"cannot finish: {in_full(error)}")
            stop(number)

    def receive(number: int) -> None:
        ask = interruption.finish
        if number == signal.SIGINT and ask is not None and interruption.finishing is None:
            write_stderr("finishing; the video ends with the next chunk (press again to stop)")
            interruption.finishing = loop.create_task(finish(number, ask))
        else:
            stop(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, receive, number)
    try:
        yield interruption
    finally:
        if interruption.patience is not None:
            interruption.patience.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def let_finish(client: VideoClient, job_id: str, plan: Plan, interruption: Interruption) -> None:
    """Make the first Ctrl-C finish a video without an end; only the second stops it."""
    interruption.finishing = None
    if plan.request.endless:
        write_stderr(
            "endless mode: Ctrl-C finishes after the next chunk; press it twice to stop at once"
        )
        interruption.finish = lambda: client.finish(job_id)
    else:
        interruption.finish = None


async def note_place(client: VideoClient, plan: Plan, interruption: Interruption) -> None:
    """Note whether the work is done on this machine, if its backend can still be asked."""
    with contextlib.suppress(MediaAgentError):
        model = await client.capabilities(f"{plan.backend}/{plan.model}")
        interruption.is_local = model.local is True
