"""Ctrl-C and SIGTERM: the first asks the work to stop, the second does not wait for it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

from media_agent.cli.screen import say

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Which signal came, if one did."""

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def exit_code(self) -> int:
        """Return 128 + the signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.number or signal.SIGINT)


@contextlib.contextmanager
def cancelled_by_signals() -> Iterator[Interruption]:
    """Turn a signal into the cancellation of the current task."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    interruption = Interruption()

    def stop(number: int) -> None:
        if interruption.number is not None:
            os._exit(interruption.exit_code)  # nothing is half-done under a final name
        interruption.number = number
        say("stopping; what was made is kept (once more: stop at once)")
        if task is not None:
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield interruption
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
