"""What happens in the worker thread: chunks become a video, and the end becomes one event.

Three stages run at the same time, each at most a little ahead of the next: chunks are generated,
decoded, and here encoded and written. On disk comes first the chunk, then the state to resume from
it, then it is announced: whatever is announced can be resumed from, also after a kill.
"""

import logging
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from media_agent.backend.generating.context import (
    Chunk,
    GenerationContext,
    Operation,
    closing_chunks,
)
from media_agent.backend.generating.prefetch import prefetch
from media_agent.backend.generating.replay import count_shared, replay
from media_agent.errors import (
    GenerationFailedError,
    InvalidRequestError,
    JobCancelledError,
    MediaAgentError,
    to_info,
)
from media_agent.provenance.marking import build_mark, describe_marking
from media_agent.storage.files import as_storage_error
from media_agent.video.growing import Video, Videos
from media_agent.video.probe import describe
from media_agent_schemas.capabilities import FALLBACK_FPS, Capabilities
from media_agent_schemas.events import (
    ChunkReady,
    Delivery,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobStarted,
    TerminalEvent,
    Timing,
)
from media_agent_schemas.media import Artifact, ArtifactKind
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_HARDLY_HEARD = 0.5  # seconds
logger = logging.getLogger(__name__)


class FrameSource(Protocol):
    """The part of a local backend that a worker needs."""

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do."""
        ...

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the chunks in order."""
        ...


class Worker:
    """Makes the video of one operation and publishes what happens."""

    def __init__(
        self, operation: Operation, source: FrameSource, clock: Callable[[], float]
    ) -> None:
        self._operation = operation
        self._source = source
        self._clock = clock
        self._context = GenerationContext(operation)
        self._started = clock()
        self._seconds = {"generate": 0.0, "decode": 0.0, "encode": 0.0}
        self._first_chunk_seconds: float | None = None
        self._chunks = 0
        self._frames = 0
        self._announced: deque[tuple[int, int]] = deque()  # number of the event, next chunk
        resume = operation.resume
        self._known_state = 0 if resume is None else resume.next_chunk

    def run(self) -> None:
        """Do the work; whatever happens ends in one terminal event."""
        self._operation.log.publish(JobStarted())
        try:
            terminal = self._run_to_end()
        except BaseException as error:  # noqa: BLE001  # what the backend declares is broken
            terminal = JobFailed(error=to_info(_as_known(error, self._operation)))
        self._operation.log.publish(terminal)

    def _run_to_end(self) -> TerminalEvent:
        try:
            with self._open_videos() as videos:
                return self._make(videos)
        except BaseException as error:  # noqa: BLE001  # the video could not be opened or closed
            return self._fail(error, ())

    def _open_videos(self) -> Videos:
        self._context.check()
        request = self._operation.request
        if request.fps is None:
            raise InvalidRequestError("the request has no fps; a plan sets it")
        return Videos(
            self._operation.work_dir,
            count=request.n,
            fps=request.fps,
            chunks=count_shared(self._operation.resume),
            mark=build_mark(request, self._operation.ref.operation_id),
        )

    def _make(self, videos: Videos) -> TerminalEvent:
        try:
            self._fill(videos)
            paths = [self._finish(video, "video.mp4") for video in videos]
            self._say_cut_sound()
            return JobCompleted(**dict(self._build_delivery(tuple(map(self._describe, paths)))))
        except JobCancelledError:
            return JobCancelled(**dict(self._build_delivery(self._save_partials(videos))))
        except BaseException as error:  # noqa: BLE001  # the engine's own errors become data
            return self._fail(error, self._save_partials(videos))

    def _fill(self, videos: Videos) -> None:
        wanted = _count_wanted(self._operation.request)
        self._count(videos)
        videos.check_whole()
        replay(self._operation, self._source, videos)
        with (
            prefetch(self._generate(videos.frames, wanted)) as chunks,
            prefetch(self._decode(chunks)) as decoded,
        ):
            try:
                self._write(videos, decoded, wanted)
            finally:
                self._operation.cancelled.set()  # nothing more is wanted: `generate` is to stop
        if videos.chunks == 0:
            raise GenerationFailedError("the backend made no frames")
        if wanted is not None and videos.frames < wanted:
            self._context.warn(f"{wanted} frames were requested, {videos.frames} were generated")

    def _generate(self, frames: int, wanted: int | None) -> Iterator[Chunk]:
        """Yield chunks until there are enough frames, as far as they can be counted here."""
        with closing_chunks(
            self._source.generate(self._operation.request, self._context)
        ) as chunks:
            while wanted is None or frames < wanted:
                self._context.check()
                with self._measure("generate"):
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                frames += 0 if callable(chunk.frames) else chunk.frames.shape[-4]
                yield chunk

    def _decode(self, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, "Frames"]]:
        for chunk in chunks:
            with self._measure("decode"):
                frames = chunk.frames() if callable(chunk.frames) else chunk.frames
            yield chunk, frames if self._operation.request.n > 1 else frames[None]

    def _write(
        self, videos: Videos, decoded: Iterator[tuple[Chunk, "Frames"]], wanted: int | None
    ) -> None:
        for chunk, frames in decoded:  # also what was begun before a cancel
            self._add(
                videos, chunk, frames[:, : None if wanted is None else wanted - videos.frames]
            )
            if videos.frames == wanted:
                return

    def _add(self, videos: Videos, chunk: Chunk, frames: "Frames") -> None:
        if chunk.index != videos.chunks:
            raise GenerationFailedError(f"got chunk {chunk.index}; expected chunk {videos.chunks}")
        with self._measure("encode"):
            videos.add(frames, self._operation.audio_of(chunk))
        if self._first_chunk_seconds is None:
            self._first_chunk_seconds = self._clock() - self._started
        self._count(videos)
        if chunk.save is not None:
            videos.first.add_state(chunk.save)
        number = self._operation.log.publish(
            ChunkReady(
                index=chunk.index,
                frames=frames.shape[1],
                path=str(videos.first.part_path),
                resume=chunk.resume,
            )
        )
        if chunk.save is not None:
            self._announced.append((number, videos.chunks))
            self._forget_states(videos.first)

    def _forget_states(self, video: Video) -> None:
        """Forget old states; never one whose successor an observer has not yet dealt with."""
        done_with = self._operation.log.done_with
        while self._announced and self._announced[0][0] < done_with:
            self._known_state = self._announced.popleft()[1]
        video.forget_states(
            keep=self._operation.keep_states,
            known=self._known_state,
            budget_bytes=self._operation.states_budget,
        )

    @contextmanager
    def _measure(self, phase: str) -> Iterator[None]:
        began = self._clock()
        try:
            yield
        finally:
            self._seconds[phase] += self._clock() - began

    def _count(self, videos: Videos) -> None:
        self._chunks, self._frames = videos.chunks, videos.frames

    def _save_partials(self, videos: Videos) -> tuple[Artifact, ...]:
        return tuple(part for video in videos for part in self._save_partial(video))

    def _save_partial(self, video: Video) -> tuple[Artifact, ...]:
        if video.chunks == 0:
            return ()
        try:
            path = self._finish(video, "video.partial.mp4")
        except (OSError, MediaAgentError) as error:
            self._context.warn(f"the video so far is in {video.part_path}: {error}")
            path = video.part_path
        try:
            return (self._describe(path, ArtifactKind.PARTIAL_VIDEO),)
        except (OSError, MediaAgentError) as error:
            self._context.warn(f"the video so far cannot be read: {error}")
            return ()

    def _describe(self, path: Path, kind: ArtifactKind = ArtifactKind.VIDEO) -> Artifact:
        video = describe(path, kind)
        key = self._operation.ref.operation_id
        marking = describe_marking(self._operation.request, key, video.metadata)
        return video.model_copy(update={"marking": marking})

    def _finish(self, video: Video, name: str) -> Path:
        has_sound = self._operation.sound_seconds > 0
        sound = self._operation.sound if has_sound else None
        return video.finish(name, tags=self._build_tags(), sound=sound)

    def _say_cut_sound(self) -> None:
        sound = self._operation.sound_seconds
        seconds = self._frames / (self._operation.request.fps or FALLBACK_FPS)
        if sound > seconds + _HARDLY_HEARD:
            self._context.warn(
                f"the source has {sound:.3g} s of sound, the video {seconds:.3g} s of images; the "
                "sound was cut to its length"
            )

    def _fail(self, error: BaseException, artifacts: tuple[Artifact, ...]) -> TerminalEvent:
        if isinstance(error, JobCancelledError):
            return JobCancelled(**dict(self._build_delivery(artifacts)))
        known = _as_known(error, self._operation)
        logger.debug("%s failed", self._operation.ref.operation_id, exc_info=error)
        return JobFailed(error=to_info(known), **dict(self._build_delivery(artifacts)))

    def _build_delivery(self, artifacts: tuple[Artifact, ...]) -> Delivery:
        operation = self._operation
        facts = self._source.capabilities(operation.ref.model)
        return Delivery(
            artifacts=artifacts,
            frames=self._frames,
            chunks=self._chunks,
            seed=operation.request.seed,
            model=facts.model,
            weights_sha256=facts.weights_sha256,
            verification=facts.verification,
            computation=operation.computation,
            prompts_sent=operation.prompts_sent,
            warnings=tuple(operation.warnings),
            timing=Timing(
                total_seconds=self._clock() - self._started,
                first_chunk_seconds=self._first_chunk_seconds,
                phases=self._seconds,
            ),
        )

    def _build_tags(self) -> dict[str, str]:
        ref = self._operation.ref
        return {"title": ref.operation_id, "comment": f"generated by {ref.backend}/{ref.model}"}


def _count_wanted(request: VideoRequest) -> int | None:
    if request.endless:
        return None
    if request.num_frames is not None:
        return request.num_frames
    seconds = request.seconds()
    if seconds is None or request.fps is None:
        raise InvalidRequestError("the request has no length; a plan sets num_frames")
    return round(seconds * request.fps)


def _as_known(error: BaseException, operation: Operation) -> MediaAgentError:
    if isinstance(error, MediaAgentError):
        return error
    if isinstance(error, OSError):
        return as_storage_error(str(error.filename or operation.work_dir), error)
    name = f"{operation.ref.backend}/{operation.ref.model}"
    return GenerationFailedError(
        f"{name} stopped at an unexpected {type(error).__name__}: {error}",
        hint=_keep_traceback(error, operation.work_dir / "traceback.txt"),
    )


def _keep_traceback(error: BaseException, path: Path) -> str | None:
    """Write the traceback to a file, for debugging, and return a hint that names it."""
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError as trouble:
        logger.debug("%s was not written: %s", path, trouble)
        return None
    return f"details in {path}"
