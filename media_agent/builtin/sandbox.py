"""The sandbox: a backend without a model, for trying everything around the model.

It shows a slate that says what was asked. Price, latency and faults are invented, by option.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.local import (
    Chunk,
    GenerationContext,
    LocalBackend,
    Steering,
    describe_missing,
)
from media_agent.backend.options import check_settings
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendUnavailableError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    SubmitUncertainError,
)
from media_agent.suggest import did_you_mean
from media_agent_schemas.capabilities import CancelRule, Capabilities, Control
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.facts import (
    FpsRange,
    OptionSpec,
    SizeRange,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.jobs import OperationRef, ResumeToken
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoRequest

_NAME, _MODEL = "sandbox", "slate"
_CHUNK_BYTES = 1 << 26  # frames of a chunk in memory; at most a second of video
_PAUSE = 0.05  # seconds between two looks whether to stop

_FAULTS: dict[str, type[MediaAgentError]] = {
    error.code: error
    for error in (
        GenerationFailedError,
        BackendUnavailableError,
        BackendRateLimitError,
        BackendAuthenticationError,
        ContentRejectedError,
        SubmitUncertainError,
    )
}

_OPTIONS = (
    OptionSpec(
        name="latency_seconds",
        type="number",
        default=0,
        minimum=0,
        description="Simulated working time for the whole video, in seconds.",
    ),
    OptionSpec(
        name="price_per_second",
        type="number",
        default=0,
        minimum=0,
        description="Invented price, in USD per second of video; nothing is billed.",
    ),
    OptionSpec(
        name="fail_at",
        type="string",
        default="never",
        description='Where to fail: "never", "submit" or "chunk:N", N counted from 0.',
    ),
    OptionSpec(
        name="fault",
        type="string",
        default="generation_failed",
        choices=(*_FAULTS, "crash"),
        description='How to fail: an error code, or "crash" for a bug.',
    ),
)

_CAPABILITIES = Capabilities(
    backend=_NAME,
    model=_MODEL,
    models=(_MODEL,),
    description="a slate with the prompt: no model, no cost, for trying things out",
    size_range=SizeRange(
        minimum=Size(width=16, height=16), maximum=Size(width=4096, height=4096), multiple=2
    ),
    default_size=Size(width=640, height=360),
    fps_range=FpsRange(minimum=1, maximum=120),
    default_fps=24,
    default_duration=4,
    endless=True,
    max_shots=None,
    negative_prompt=True,
    seed=True,
    controls=(Control.CHANGE_PROMPT, Control.FINISH),
    cancel_rule=CancelRule.STOPS,
    resumable=True,
    extends=True,
    streams=True,
    lookup="key",
    resubmits=True,
    options=_OPTIONS,
    verification=Verification(level=VerificationLevel.SIMULATOR, note="there is no model"),
    licence="Apache-2.0",
    local=True,
)


class SandboxBackend(LocalBackend):
    """Draws a slate in chunks, so that it streams, stops, steers and resumes as engines do."""

    kind = _NAME

    def __init__(
        self,
        settings: BackendSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(settings, clock=clock)
        self._sleep = sleep
        check_settings(settings, _CAPABILITIES)

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the slate can do: nearly everything that needs no image."""
        if model not in (None, _MODEL):
            raise self.unknown_model(str(model), [_MODEL])
        return _CAPABILITIES.model_copy(update={"missing": _find_missing()})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the invented price and latency."""
        seconds = request.seconds()
        price = self._read_number(request, "price_per_second")
        return Estimate(
            cost_usd=None if seconds is None else price * seconds,
            seconds=self._read_number(request, "latency_seconds"),
            source="invented by the sandbox",
        )

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work, or fail if an option asks for it."""
        if self._read_failing_chunk(request) == "submit":
            raise self._make_fault(request, "submit")
        return await super().submit(request, key=key, resume=resume)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the slate in chunks of at most a second."""
        if request.size is None or request.fps is None:
            raise InvalidRequestError("the request has no size or no fps; a plan sets them")
        if _find_missing() is not None:
            raise BackendUnavailableError(f"{_NAME}/{_MODEL} needs {_find_missing()}")
        from media_agent.builtin.slate import Slate

        slate = Slate(request)
        size = frames_per_chunk(request.size, request.fps)
        chunks = None if request.num_frames is None else -(-request.num_frames // size)
        steering = Steering(context, chunks=chunks)
        index = 0 if context.resume is None else context.resume.next_chunk
        while not steering.ends_before(index):
            if self._read_failing_chunk(request) == index:
                raise self._make_fault(request, f"chunk {index}")
            self._pretend_to_work(request, context, index, size)
            yield Chunk(
                index,
                slate.frames(
                    index * size, _end(request, (index + 1) * size), steering.prompt(index)
                ),
                ResumeToken(backend=self.name, model=_MODEL, next_chunk=index + 1),
            )
            index += 1
            steering.take(begun=index)

    def _pretend_to_work(
        self, request: VideoRequest, context: GenerationContext, index: int, size: int
    ) -> None:
        """Wait for this chunk's part of the latency, looking often whether to stop."""
        frames = request.num_frames
        done = None if frames is None else min(1.0, index * size / frames)
        chunks = 1 if frames is None else -(-frames // size)
        left = self._read_number(request, "latency_seconds") / chunks
        context.report("draw", done)
        while left > 0:
            context.check()
            self._sleep(min(left, _PAUSE))
            left -= _PAUSE
        context.check()

    def _read_option(self, request: VideoRequest, name: str) -> JsonValue:
        given = {**self.settings.options, **request.options.get(self.name, {})}
        default = next(option.default for option in _OPTIONS if option.name == name)
        return given.get(name, default)

    def _read_number(self, request: VideoRequest, name: str) -> float:
        value = self._read_option(request, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise InvalidRequestError(f"sandbox option {name} is {value!r}, not a number from 0 up")
        return float(value)

    def _read_failing_chunk(self, request: VideoRequest) -> int | Literal["submit"] | None:
        place = str(self._read_option(request, "fail_at"))
        match place.partition(":"):
            case ("never", "", ""):
                return None
            case ("submit", "", ""):
                return "submit"
            case ("chunk", ":", number) if number.isdecimal():
                return int(number)
        raise InvalidRequestError(
            f"sandbox option fail_at is {place!r}", hint='say "never", "submit" or "chunk:N"'
        )

    def _make_fault(self, request: VideoRequest, place: str) -> Exception:
        kind = str(self._read_option(request, "fault"))
        said = f"the sandbox failed as requested at {place}"
        if kind == "crash":
            return RuntimeError(said)
        if kind not in _FAULTS:
            raise InvalidRequestError(
                f"sandbox option fault is {kind!r}", hint=did_you_mean(kind, [*_FAULTS, "crash"])
            )
        return _FAULTS[kind](said, hint="leave out the option fail_at")


def _find_missing() -> str | None:
    return describe_missing("local", "numpy", "PIL")


def frames_per_chunk(size: Size, fps: float) -> int:
    """Return the frames of a chunk: a second of video, fewer of very large frames."""
    return max(1, min(round(fps), _CHUNK_BYTES // (3 * size.width * size.height)))


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    return SandboxBackend(settings)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backend "sandbox"."""
    catalogue = Path(__file__).with_name("sandbox.yaml")
    return [BackendSpec(name=_NAME, factory=make, catalogue=catalogue)]


def _end(request: VideoRequest, frame: int) -> int:
    return frame if request.num_frames is None else min(frame, request.num_frames)
