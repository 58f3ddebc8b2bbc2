"""A backend that is a program of the user's, declared in the settings with `kind = "command"`.

The program gets its arguments as a list, never through a shell. A prompt is untrusted text: it
fills a placeholder and nothing else, and an item that it begins cannot become an option.
"""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, TypedDict

from pydantic import Field, JsonValue, field_validator

from media_agent.backend.declaration import (
    Declaration,
    fill,
    find_first_frame,
    placeholder_values,
)
from media_agent.backend.generating.context import GenerationContext, Operation
from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.local import ThreadedBackend
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.builtin.program_environment import VariableName, find_secrets
from media_agent.errors import (
    BackendUnavailableError,
    ConfigurationError,
    GenerationFailedError,
    InvalidRequestError,
    JobCancelledError,
    MediaAgentError,
    OperationNotFoundError,
    StorageError,
    to_info,
)
from media_agent.programs.group import start_in_group
from media_agent.programs.guarded import start_guarded
from media_agent.programs.log import ProgramLog
from media_agent.programs.turns import take_turn
from media_agent.storage.files import make_folder, storage_errors
from media_agent.video.container import LARGEST_VIDEO
from media_agent.video.probe import describe
from media_agent_schemas.base import Seconds
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import JobCancelled, JobCompleted, JobFailed, JobStarted, Timing
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact, MediaInput
from media_agent_schemas.request import VideoRequest

KIND = "command"
_OWN_PLACEHOLDERS = ("output", "work_dir", "prompt_file")
_FREE_TEXT = ("{prompt}", "{negative_prompt}")
_OPTION_SIGNS = ("-", "+", "@")  # @FILE: further words from a file, as many programs read it
_DEFAULT_MODEL = "program"
_GRACE_SECONDS = 5.0  # from the polite signal to the other one
_WAIT_SECONDS = 0.1  # between two looks whether a run that was killed has ended
_BARE = {"PATH": os.defpath}  # for who made the backend without settings


class _Place(TypedDict):
    """Where and how a program runs."""

    folder: Path | None
    environment: Mapping[str, str]
    output: BinaryIO
    grace_seconds: float


class CommandOptions(Declaration):
    """The options of a program."""

    command: tuple[str, ...] = Field(
        min_length=1, description="The program and its words, with placeholders."
    )
    timeout: Seconds = Field(default=3600.0, description="It is stopped after so many seconds.")
    workers: int = Field(default=1, ge=1, le=64, description="How many may run at the same time.")
    env: tuple[VariableName, ...] = Field(
        default=(),
        description="Environment variables to pass on, in addition to the harmless ones.",
    )

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0] or "{" in command[0]:
            raise ValueError("its first item is the program itself, without placeholders")
        if not any("{output}" in item for item in command):
            raise ValueError(
                "{output} is used nowhere: the program needs to know where to write the video"
            )
        return command

    def list_templates(self) -> Iterator[str]:
        """Yield the words of the program."""
        yield from self.command

    @property
    def is_free(self) -> bool:
        """Whether a video costs nothing, so that a run that was lost may be repeated."""
        return not self.usd_per_video and not self.usd_per_second

    def list_own_placeholders(self) -> Iterable[str]:
        """Return the placeholders for files of this machine."""
        return _OWN_PLACEHOLDERS


class CommandBackend(ThreadedBackend):
    """Runs the program once per video and takes the file that it leaves."""

    kind = KIND

    def __init__(
        self,
        settings: BackendSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        grace_seconds: float = _GRACE_SECONDS,
        largest_video: int = LARGEST_VIDEO,
    ) -> None:
        self._options = settings.read_options(CommandOptions)
        self._model = settings.model or _DEFAULT_MODEL
        self._missing = _find_missing(self._options.command[0], settings.folder)
        self._grace_seconds = grace_seconds
        self._largest_video = largest_video
        named = self._options.env
        self._environment = settings.environment(named) if settings.environment else _BARE
        self._secrets = [
            *(secret.get_secret_value() for secret in settings.secrets),
            *find_secrets(self._environment, named),
        ]
        self.workers = self._options.workers
        super().__init__(settings, clock=clock)

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
        words = self._build_words(operation, folder, output)
        path = folder / "program.log"
        with storage_errors(str(path)), ProgramLog(path, self._secrets) as log:
            code = self._supervise(words, output, log, context)
        if code != 0:
            raise GenerationFailedError(
                f"{self.name}: {words[0]} {_explain(code)}{log.read_last_words()}", hint=_see(path)
            )
        return self._find_video(words[0], output, log)

    def _build_words(self, operation: Operation, folder: Path, output: Path) -> list[str]:
        """Return the program with its words filled in; one with an absent value is left out."""
        values = placeholder_values(operation.request, self._model)
        values |= {"output": str(output), "work_dir": str(folder)}
        values["first_frame"] = _prepare_image(find_first_frame(operation.request), folder)
        if "prompt_file" in self._options.find_used_placeholders():
            values["prompt_file"] = str(_write(folder / "prompt.txt", str(values["prompt"])))
        words = []
        for template in self._options.command:
            word = fill(template, values)
            if word is not None:
                words.append(_defuse(template, word))
            if word is not None and template.startswith("{prompt}"):
                operation.prompts_sent = (words[-1],)
        return words

    def _supervise(
        self, words: list[str], output: Path, log: ProgramLog, context: GenerationContext
    ) -> int:
        """Run the program to its end, or stop it, and return its exit code."""
        deadline = self._clock() + self._options.timeout
        with self._start(words, log, context) as process:
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

    @contextmanager
    def _start(
        self, words: list[str], log: ProgramLog, context: GenerationContext
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the program; neither it nor what it starts outlives the context."""
        with ExitStack() as stack:
            try:
                process = stack.enter_context(self._open(words, log, context))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise BackendUnavailableError(
                    f"{self.name}: the program {words[0]!r} cannot be started: {reason}",
                    hint=f"install it, or correct [backends.{self.name}.options] command",
                ) from error
            yield process

    @contextmanager
    def _open(
        self, words: list[str], log: ProgramLog, context: GenerationContext
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the program so that it is never run twice at the same time.

        A free one ends with this process, however that ends, and is waited for before it is run
        again. One that costs money is not run again, and may run to its end.
        """
        how = _Place(
            folder=self.settings.folder,
            environment=self._environment,
            output=log.file,
            grace_seconds=self._grace_seconds,
        )
        if not self._options.is_free:
            with start_in_group(words, **how) as process:
                yield process
            return
        if _find_missing(words[0], self.settings.folder, self._environment.get("PATH")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        def wait() -> None:
            context.check()
            time.sleep(_WAIT_SECONDS)

        with (
            take_turn(log.path.with_suffix(".lock"), wait) as turn,
            start_guarded(words, keeps=[turn], **how) as process,
        ):
            yield process

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


def _find_missing(program: str, folder: Path | None, search: str | None = None) -> str | None:
    """Return what is missing if there is no such program: in the folder, or on the search path."""
    place = program if "/" not in program else str((folder or Path()) / program)
    return (
        f"a program: {program} was not found" if shutil.which(place, path=search) is None else None
    )


def _defuse(template: str, word: str) -> str:
    """Return the word, with a space before it if text from outside would make it an option."""
    is_free = template.startswith(_FREE_TEXT)
    return f" {word}" if is_free and word.startswith(_OPTION_SIGNS) else word


def _prepare_image(medium: MediaInput | None, folder: Path) -> JsonValue:
    """Return the file of the first frame, written first if it came as bytes."""
    if medium is None:
        return None
    if medium.path is not None:
        return str(Path(medium.path).absolute())
    if medium.data is None:
        raise InvalidRequestError(
            f"a program cannot read an image from the URL {medium.url}", hint="give it as a file"
        )
    path = folder / "first_frame"
    with storage_errors(str(path)):
        path.write_bytes(medium.data)
    return str(path)


def _write(path: Path, text: str) -> Path:
    with storage_errors(str(path)):
        path.write_text(text, encoding="utf-8")
    return path


def _explain(code: int) -> str:
    """Return how a program ended; a guard tells a signal as shells do, as 128 and its number."""
    number = -code if code < 0 else code - 128
    is_signal = code < 0 or 0 < number < signal.NSIG
    return f"was killed by signal {number}" if is_signal else f"exited with {code}"


def _see(said: Path) -> str:
    return f"its full output is in {said}"
