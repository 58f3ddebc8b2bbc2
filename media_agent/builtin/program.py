"""Runs a program of the user's, never through a shell, and never twice at the same time."""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict

from media_agent.errors import BackendUnavailableError
from media_agent.programs.group import start_in_group
from media_agent.programs.guarded import start_guarded
from media_agent.programs.log import ProgramLog
from media_agent.programs.turns import take_turn

GRACE_SECONDS = 5.0  # from the polite signal to the other one
_WAIT_SECONDS = 0.1  # between two looks whether a run that was killed has ended


class _Place(TypedDict):
    """Where and how a program runs."""

    folder: Path | None
    environment: Mapping[str, str]
    output: BinaryIO
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class Program:
    """How a program of the user's is run; neither it nor what it starts outlives its run."""

    backend: str
    """The name of the backend, for errors."""
    folder: Path | None
    environment: Mapping[str, str]
    may_repeat: bool
    """Whether running it costs nothing: it ends with this process, and may be run again."""
    grace_seconds: float = GRACE_SECONDS
    """From the polite signal to the other one."""

    @contextmanager
    def start(
        self, words: list[str], log: ProgramLog, check: Callable[[], None]
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the program, for as long as the context is open.

        `check` is called while a run that was killed is waited for, and raises to give up.

        Raises:
            BackendUnavailableError: it cannot be started.
        """
        with ExitStack() as stack:
            try:
                process = stack.enter_context(self._open(words, log, check))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise BackendUnavailableError(
                    f"{self.backend}: the program {words[0]!r} cannot be started: {reason}",
                    hint=f"install it, or correct [backends.{self.backend}.options] command",
                ) from error
            yield process

    @contextmanager
    def _open(
        self, words: list[str], log: ProgramLog, check: Callable[[], None]
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the program so that it is never run twice at the same time.

        A free one ends with this process, however that ends, and is waited for before it is run
        again. One that costs money is not run again, and may run to its end.
        """
        how = _Place(
            folder=self.folder,
            environment=self.environment,
            output=log.file,
            grace_seconds=self.grace_seconds,
        )
        if not self.may_repeat:
            with start_in_group(words, **how) as process:
                yield process
            return
        if find_missing(words[0], self.folder, self.environment.get("PATH")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        def wait() -> None:
            check()
            time.sleep(_WAIT_SECONDS)

        with (
            take_turn(log.path.with_suffix(".lock"), wait) as turn,
            start_guarded(words, keeps=[turn], **how) as process,
        ):
            yield process


def find_missing(program: str, folder: Path | None, search: str | None = None) -> str | None:
    """Return what is missing if there is no such program: in the folder, or on the search path."""
    place = program if "/" not in program else str((folder or Path()) / program)
    return (
        f"a program: {program} was not found" if shutil.which(place, path=search) is None else None
    )


def explain_exit(code: int) -> str:
    """Return how a program ended; a guard tells a signal as shells do, as 128 and its number."""
    number = -code if code < 0 else code - 128
    is_signal = code < 0 or 0 < number < signal.NSIG
    return f"was killed by signal {number}" if is_signal else f"exited with {code}"
