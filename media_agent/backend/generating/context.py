"""One piece of local work: what it is given, what it says, what it makes."""

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.backend.generating.event_log import EventLog
from media_agent.errors import InvalidRequestError, JobCancelledError
from media_agent_schemas.events import Computation, JobProgressed, PromptChanged
from media_agent_schemas.jobs import Command, OperationRef, ResumeToken
from media_agent_schemas.media import MediaInput
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video.audio import Audio
    from media_agent.video.codec import Frames

KEEP_STATES = 8
"""How many of the newest states are kept, unless the request says; older ones are thinned out."""
STATES_BUDGET = 2 * 10**9
"""Bytes that all states of a video may take, unless the request says; the newest is always kept."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some frames in a row; with `resume`, another process can continue after them."""

    index: int
    frames: "Frames | Callable[[], Frames]"  # uint8, T H W 3; or what decodes them
    """Of several videos at once: N T H W 3."""
    resume: ResumeToken | None = None
    save: Callable[[Path], None] | None = None
    """Writes the state that `resume` names, once the chunk is on disk, to the path it is given;
    called once, from another thread than `generate`."""
    audio: "Audio | None" = None
    """What is heard with its frames: cut, or filled up with silence, to their length, and left out
    of a request that wants no audio."""


@dataclass(eq=False)
class Operation:
    """One piece of work, shared by its worker thread and the event loop."""

    request: VideoRequest
    ref: OperationRef
    resume: ResumeToken | None
    work_dir: Path
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    log: EventLog = field(default_factory=EventLog)
    cancelled: threading.Event = field(default_factory=threading.Event)
    warnings: list[str] = field(default_factory=list)
    prompts_sent: tuple[str, ...] | None = None
    computation: Computation | None = None
    keep_states: int = KEEP_STATES
    states_budget: int = STATES_BUDGET
    states_every: int = 1
    state_at: int | None = None
    """The chunk whose state is wanted whatever `states_every` says."""
    sound_seconds: float = 0.0
    worker: Future[None] | None = None
    commands: dict[int, Command] = field(default_factory=dict)
    """All commands of the work, by number; whoever hands them over keeps them on disk."""

    @property
    def sound(self) -> Path:
        """Where the sound lies that goes with the video, if there is any."""
        return self.work_dir / "sound.mp4"

    def audio_of(self, chunk: Chunk) -> "Audio | None":
        """Return the audio of a chunk, if the request wants any."""
        return None if self.request.audio is False else chunk.audio


class GenerationContext:
    """What `generate` gets with the request; safe to use from the worker thread."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self.work_dir = operation.work_dir
        """A folder for this piece of work alone; its content survives the process. `generate`
        is ahead of what is on disk and known outside: state for a resume token goes to
        `Chunk.save`, which writes it when its chunk is there."""
        self.resume = operation.resume
        """Where to resume, or None to start from the beginning."""

    def report(self, phase: str, fraction: float | None = None, message: str | None = None) -> None:
        """Say what is being done; `fraction` is of the whole work, 0 to 1."""
        self._operation.log.publish(JobProgressed(phase=phase, fraction=fraction, message=message))

    def check(self) -> None:
        """Stop here if asked to; call it between denoising steps.

        Raises:
            JobCancelledError: the work is to stop; let it pass through.
        """
        if self._operation.cancelled.is_set():
            raise JobCancelledError("stopped on request")
        if self._operation.loop.is_closed():  # else a process could not end before its work
            raise JobCancelledError("the event loop that asked for this has ended")

    def commands(self, after: int = 0) -> list[tuple[int, Command]]:
        """Return the commands numbered above `after`, oldest first; `Steering` applies them.

        Work that was resumed gets all of them again: what it has applied, it has to remember.
        """
        known = list(self._operation.commands.items())  # another thread adds to them
        return [(number, command) for number, command in known if number > after]

    @property
    def branches(self) -> bool:
        """Whether `resume` is of another video, of which this one keeps only the first chunks."""
        key = None if self.resume is None else self.resume.key
        return key not in (None, self._operation.ref.operation_id)

    def keep_sound(self, source: MediaInput) -> None:
        """Give the video the sound of its source, unchanged; for a video of the same timeline."""
        from media_agent.ingest.sound import copy_sound

        try:
            self._operation.sound_seconds = copy_sound(source, self._operation.sound)
        except InvalidRequestError as error:
            self.warn(f"{error.message}; the video is silent")

    def keep_states(self, count: int, *, budget_bytes: int = STATES_BUDGET, every: int = 1) -> None:
        """Say how many of the newest states are kept, and how much disk space all may take.

        Older ones are thinned out, the more the older they are. The newest is always kept. Where
        states are large, there may be one `every` so many chunks.
        """
        self._operation.keep_states = count
        self._operation.states_budget = budget_bytes
        self._operation.states_every = every

    def wants_state(self, next_chunk: int) -> bool:
        """Whether there is to be a state before a chunk; else its `Chunk` needs no `save`."""
        operation = self._operation
        return next_chunk == operation.state_at or next_chunk % operation.states_every == 0

    def announce_prompt(self, chunk: int, prompt: str) -> None:
        """Announce that `prompt` holds from this chunk on."""
        self._operation.log.publish(PromptChanged(chunk=chunk, prompt=prompt))

    def record_prompts(self, prompts: tuple[str, ...]) -> None:
        """Record, per shot, the prompt as the model saw it, if it is not the one in the request."""
        self._operation.prompts_sent = prompts

    def record_computation(self, computation: Computation) -> None:
        """Record on what the frames are computed."""
        self._operation.computation = computation

    def warn(self, message: str) -> None:
        """Add a warning for the person, kept in the record."""
        self._operation.warnings.append(message)


@contextmanager
def closing_chunks(chunks: Iterator[Chunk]) -> Iterator[Iterator[Chunk]]:
    """Let a generator clean up, here and now, however the loop over it ends."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, Generator):
            chunks.close()
