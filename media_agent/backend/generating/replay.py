"""A state that is no longer kept, made again: its video is resumed from an earlier one.

The chunks that are on disk stay as they are; they are computed again, but only the last of them is
compared. Those that are gone are written again.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from media_agent.backend.generating.context import (
    Chunk,
    GenerationContext,
    Operation,
    closing_chunks,
)
from media_agent.backend.generating.event_log import EventLog
from media_agent.errors import NotResumableError
from media_agent.video.audio import split_audio
from media_agent_schemas.events import ChunkReady, JobProgressed
from media_agent_schemas.jobs import ResumeToken
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames
    from media_agent.video.growing import Videos


class Source(Protocol):
    """Whoever generates the chunks."""

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the chunks in order."""
        ...


def count_shared(resume: ResumeToken | None) -> int:
    """Return how many chunks of a video are there before it is resumed."""
    if resume is None:
        return 0
    return resume.next_chunk if resume.replay is None else resume.replay.chunks


def replay(operation: Operation, source: Source, videos: "Videos") -> None:
    """Make the state again from which an operation resumes, if it is to be made again.

    Raises:
        NotResumableError: its video ends before it.
        MediaAgentError: as `generate` raises.
    """
    if operation.resume is not None:
        _replay(operation, operation.resume, source, videos)


def _replay(operation: Operation, token: ResumeToken, source: Source, videos: "Videos") -> None:
    if token.replay is None:
        return
    earlier = token.replay.resume
    if earlier is not None:
        _replay(operation, earlier, source, videos)
    first = 0 if earlier is None else earlier.next_chunk
    inner = replace(
        operation,
        request=token.replay.request,
        resume=earlier,
        log=EventLog(),
        warnings=[],
        commands={},
        state_at=token.next_chunk,
    )
    phase = f"generating chunks {first + 1} to {token.next_chunk} again"
    with closing_chunks(source.generate(inner.request, GenerationContext(inner))) as chunks:
        for chunk in chunks:
            GenerationContext(operation).check()
            done = (chunk.index + 1 - first) / (token.next_chunk - first)
            operation.log.publish(JobProgressed(phase=phase, message=f"{done:.0%}"))
            _keep(operation, chunk, videos, is_last=chunk.index + 1 == token.next_chunk)
            if chunk.index + 1 == token.next_chunk:
                return
    raise NotResumableError(f"the video ends before chunk {token.next_chunk}")


def _keep(operation: Operation, chunk: Chunk, videos: "Videos", *, is_last: bool) -> None:
    """Write a chunk that is gone, compare the last one with what is there, and keep its state."""
    video = videos.first
    audio = operation.audio_of(chunk)
    if audio is not None and operation.request.n > 1:
        audio = split_audio(audio, operation.request.n)[0]
    if chunk.index >= video.chunks:
        frames = _decode(chunk)
        video.add(frames, audio)
        ready = ChunkReady(index=chunk.index, frames=len(frames), path=str(video.part_path))
        operation.log.publish(ready)
    elif (
        is_last
        and not _is_marked_otherwise(operation)
        and chunk.index + 1 == video.chunks
        and not video.is_last_chunk(_decode(chunk), audio)
    ):
        operation.warnings.append(
            f"chunk {chunk.index + 1}, generated again, came out a little different from the one "
            "that is kept; the cut after it may show"
        )
    if is_last and chunk.save is not None:
        video.add_state(chunk.save, chunk.index + 1)


def _is_marked_otherwise(operation: Operation) -> bool:
    """Whether the chunks that are kept may bear the mark of another job, which made them."""
    request = operation.request
    is_marked = request.watermark is not None or request.visible_label is not None
    return is_marked and GenerationContext(operation).branches


def _decode(chunk: Chunk) -> "Frames":
    """Return the frames of the first video."""
    frames = chunk.frames() if callable(chunk.frames) else chunk.frames
    return frames if frames.ndim == 4 else frames[0]
