"""Runs Open-Sora once: starts torchrun in the checkout, follows what it says, ends all of it."""

import subprocess
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from media_agent.backend.local import GenerationContext
from media_agent.errors import GenerationFailedError
from media_agent.programs.guarded import start_guarded
from media_agent.programs.log import ProgramLog
from media_agent.redact import redact
from media_agent_opensora.call import Call
from media_agent_opensora.checkout import Checkout
from media_agent_opensora.command import build_words, find_video
from media_agent_opensora.memory import KNOWN_TO_FAIL, describe_need
from media_agent_opensora.progress import Progress

_SAID_EVERY = 5.0  # seconds, while nothing else changes
_OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True, slots=True)
class Launcher:
    """Where and how Open-Sora is run."""

    name: str
    """Of the backend, for errors."""
    checkout: Checkout
    environment: Mapping[str, str]
    secrets: Collection[str]
    grace_seconds: float
    clock: Callable[[], float]

    def run(
        self,
        call: Call,
        folder: Path,
        context: GenerationContext,
        *,
        gpus: int,
        expected_seconds: float | None,
        turns: Collection[int],
    ) -> Path:
        """Return the video of one run, in a folder that has its prompts.

        Args:
            call: What is asked.
            folder: A folder for this run alone.
            context: Who hears of progress and may stop it.
            gpus: On how many GPUs.
            expected_seconds: How long it takes, if that was measured.
            turns: The locks that are held until all of it has ended.

        Raises:
            GenerationFailedError: it broke, or left no video.
        """
        config = call.model.name_config(gpus)
        weights = self.checkout.find_weights(config) if self.checkout.ckpts else {}
        torchrun = self.checkout.torchrun
        words = build_words(call, torchrun=torchrun, gpus=gpus, folder=folder, weights=weights)
        progress = Progress(expected_seconds)
        path = folder / "open-sora.log"
        with ProgramLog(path, self.secrets) as log:
            code = self._follow(words, log, progress, context, turns)
            progress.read(log.read_lines(), self.clock())
        video = find_video(call, folder)
        if code == 0 and video.is_file():
            return video
        how = f"exited with {code}" if code else f"exited well, but left no file {video}"
        reason = redact(progress.error, self.secrets) if progress.error else None
        said = f": {reason}" if reason else log.read_last_words()
        raise GenerationFailedError(
            f"{self.name}: Open-Sora {how}{said}",
            hint=_explain(said, call, gpus) + f"its full output is in {path}",
        )

    def _follow(
        self,
        words: list[str],
        log: ProgramLog,
        progress: Progress,
        context: GenerationContext,
        turns: Collection[int],
    ) -> int:
        """Run it to its end, or stop it, and return its exit code."""
        reporter = _Reporter(progress, context, self.clock)
        with start_guarded(
            words,
            folder=self.checkout.folder,
            environment=self.environment,
            output=log.file,
            keeps=turns,
            grace_seconds=self.grace_seconds,
        ) as process:
            while True:
                reporter.report()
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(log.keep_bounded())
                context.check()
                progress.read(log.read_lines(), self.clock())


class _Reporter:
    """Reports progress when its phase changes, and every few seconds."""

    def __init__(
        self, progress: Progress, context: GenerationContext, clock: Callable[[], float]
    ) -> None:
        self._progress = progress
        self._context = context
        self._clock = clock
        self._said: tuple[str, float] | None = None

    def report(self) -> None:
        now, phase = self._clock(), self._progress.phase
        is_said = self._said is not None and self._said[0] == phase and now < self._said[1]
        if phase is None or is_said:
            return
        self._said = phase, now + _SAID_EVERY
        fraction = self._progress.estimate_fraction(now)
        self._context.report(phase, fraction, self._progress.describe(now))


def _explain(said: str, call: Call, gpus: int) -> str:
    """Return what is known about an error, as the beginning of a hint."""
    if _OUT_OF_MEMORY not in said.lower():
        return ""
    return f"{describe_need(call.model, gpus)}; {KNOWN_TO_FAIL}; "
