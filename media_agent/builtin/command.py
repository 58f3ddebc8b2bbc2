"""A backend that is a program of the user's, declared in the settings with `kind = "command"`.

It is run once per video, and the file that it leaves is the video.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from media_agent.backend.generating.context import GenerationContext, Operation
from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.local import ThreadedBackend
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.builtin.command_line import CommandOptions, build_words
from media_agent.builtin.program import GRACE_SECONDS, Program, explain_exit, find_missing
from media_agent.builtin.program_environment import find_secrets
from media_agent.errors import (
    ConfigurationError,
    GenerationFailedError,
    JobCancelledError,
    MediaAgentError,
    OperationNotFoundError,
    StorageError,
    to_info,
)
from media_agent.programs.log import ProgramLog
from media_agent.storage.files import make_folder, storage_errors
from media_agent.video.container import LARGEST_VIDEO
from media_agent.video.probe import describe
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import JobCancelled, JobCompleted, JobFailed, JobStarted, Timing
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

KIND = "command"
_DEFAULT_MODEL = "program"
_BARE = {"PATH": os.defpath}  # for who made the backend without settings


class CommandBackend(ThreadedBackend):
    """Runs the program once per video and takes the file that it leaves."""

    kind = KIND

    def __init__(
        self,
        settings: BackendSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        grace_seconds: float = GRACE_SECONDS,
        largest_video: int = LARGEST_VIDEO,
    ) -> None:
        self._options = settings.read_options(CommandOptions)
        self._model = settings.model or _DEFAULT_MODEL
        self._missing = find_missing(self._options.command[0], settings.folder)
        self._largest_video = largest_video
        named = self._options.env
        environment = settings.environment(named) if settings.environment else _BARE
        self._secrets = [
            *(secret.get_secret_value() for secret in settings.secrets),
            *find_secrets(environment, named),
        ]
        self.workers = self._options.workers
        super().__init__(settings, clock=clock)
        self._program = Program(
            self.name,
            settings.folder,
            environment,
            may_repeat=self._options.is_free,
            grace_seconds=grace_seconds,
        )

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the declaration says."""
        if model not in (None, self._model):
            raise self.unknown_model(str(model), [self._model])
        facts = self._options.capabilities(KIND, self.name, self._model)
        here = {"local": True, "reads_urls": False, "missing": self._missing}
        return facts.model_copy(update={"resubmits": self._options.is_free, **here})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the declared price; without one it is a program of this machine, and free."""
        if self._options.is_free:
            return Estimate(cost_usd=0.0, source="runs on this machine")
        return self._options.estimate(request)

    def work(self, operation: Operation) -> None:
        """Run the program for one operation; whatever happens ends in one terminal event."""
        operation.log.publish(JobStarted())
        started = self._clock()
        try:
            video = self._run(operation)
            operation.log.publish(self._complete(operation, video, self._clock() - started))
        except JobCancelledError:
            operation.log.publish(JobCancelled(model=operation.ref.model))
        except MediaAgentError as error:
            operation.log.publish(JobFailed(error=to_info(error), model=operation.ref.model))
        except Exception as error:  # noqa: BLE001  # else the end would go unreported
            said = f"{self.name} broke: {type(error).__name__}: {error}"
            known = GenerationFailedError(said)
            operation.log.publish(JobFailed(error=to_info(known), model=operation.ref.model))

    def _find(self, ref: OperationRef) -> Operation:
        try:
            return super()._find(ref)
        except OperationNotFoundError as error:
            folder = self.settings.data_dir / "work" / ref.operation_id
            raise OperationNotFoundError(
                error.message, hint=f"what its program wrote is in {folder}"
            ) from None

    def _run(self, operation: Operation) -> Artifact:
        context = GenerationContext(operation)
        context.check()
        folder = operation.work_dir.absolute()
        make_folder(folder)
        # of its own name: a run that was killed may still write
        output = folder / f"video.{token_hex(4)}.mp4"
        filled = build_words(self._options, operation.request, self._model, folder, output)
        words, operation.prompts_sent = filled.words, filled.prompts
        path = folder / "program.log"
        with storage_errors(str(path)), ProgramLog(path, self._secrets) as log:
            code = self._supervise(words, output, log, context)
        if code != 0:
            raise GenerationFailedError(
                f"{self.name}: {words[0]} {explain_exit(code)}{log.read_last_words()}",
                hint=_see(path),
            )
        return self._find_video(words[0], output, log)

    def _supervise(
        self, words: list[str], output: Path, log: ProgramLog, context: GenerationContext
    ) -> int:
        """Run the program to its end, or stop it, and return its exit code."""
        deadline = self._clock() + self._options.timeout
        with self._program.start(words, log, context.check) as process:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(log.keep_bounded())
                if (fraction := log.read_progress()) is not None:
                    context.report("running", fraction)
                context.check()
                self._check_size(words[0], output)
                if self._clock() >= deadline:
                    raise GenerationFailedError(
                        f"{self.name}: {words[0]} had not ended after "
                        f"{self._options.timeout:g} s and was stopped",
                        hint="allow more with the option timeout",
                    )

    def _check_size(self, program: str, output: Path) -> None:
        """Refuse a file too large to be a video, before anything reads it.

        Raises:
            GenerationFailedError: it is too large.
        """
        with suppress(OSError):  # it is not there yet
            if output.stat().st_size > self._largest_video:
                raise GenerationFailedError(
                    f"{self.name}: {program} wrote more than {self._largest_video} bytes to "
                    "{output}; that is the limit",
                    hint="let it make a shorter video, or compress it more",
                )

    def _find_video(self, program: str, output: Path, log: ProgramLog) -> Artifact:
        said = log.path
        if not output.is_file():
            raise GenerationFailedError(
                f"{self.name}: {program} left no file at {{output}}{log.read_last_words()}",
                hint=_see(said),
            )
        self._check_size(program, output)
        try:
            video = describe(output)
        except StorageError as error:
            raise GenerationFailedError(
                f"{self.name}: {program} left no video: {error.message}", hint=_see(said)
            ) from error
        container = None if video.metadata is None else video.metadata.container
        if container != "mp4":
            raise GenerationFailedError(
                f"{self.name}: {program} wrote {container}, not MP4", hint="let it write MP4"
            )
        return video

    def _complete(self, operation: Operation, video: Artifact, seconds: float) -> JobCompleted:
        facts = self.capabilities(operation.ref.model)
        return JobCompleted(
            artifacts=(video,),
            frames=None if video.metadata is None else video.metadata.frames,
            seed=operation.request.seed,
            model=facts.model,
            verification=facts.verification,
            prompts_sent=operation.prompts_sent,
            timing=Timing(total_seconds=seconds),
        )


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    for name in ("base_url", "key"):
        if getattr(settings, name) is not None:
            raise ConfigurationError(
                f"backend {settings.name} is a program and does not support {name}",
                hint="name the variables that it reads in its option env",
            )
    return CommandBackend(settings)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the kind "command"."""
    return [BackendSpec(name=KIND, factory=make, needs_section=True)]


def _see(said: Path) -> str:
    return f"its full output is in {said}"
