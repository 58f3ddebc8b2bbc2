"""The segments of a long video, each a job of its own: what there is, and how one is made."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import (
    BackendResponseError,
    InvalidRequestError,
    JobError,
    JobNotFoundError,
    MediaAgentError,
)
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import JobOptions
from media_agent.provenance.marking import build_mark, describe_marking
from media_agent_schemas.events import JobCancelled, JobEvent, JobFailed
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind, InputRole, Marking, MediaInput
from media_agent_schemas.plan import Plan, Segment
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.jobs.runner import JobRunner


class SegmentJobs:
    """The segments made so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.videos: list[Path] = []
        self.markings: list[Marking | None] = []
        self.last: Artifact | None = None
        self.lengths: list[int] = []
        self.count = 0
        self.frames = 0
        self.shared = 0
        self.warnings: list[str] = []

    def add(self, job: VideoJob, segment: Segment) -> int:
        """Take the video of a segment, and return how many frames are new in it."""
        video = job.artifacts[0] if job.artifacts else None
        if video is None or video.path is None or video.metadata is None:
            raise BackendResponseError(f"segment {job.id} completed without a video")
        self.warnings += [text for text in job.warnings if text not in self.warnings]
        frames = video.metadata.frames
        before = self.lengths[-1] if self.lengths else 0
        planned = segment.request.num_frames or frames
        new = frames
        if segment.continues_from == "last_frame":
            self.shared = 1
            new = frames - 1
        elif segment.continues_from == "video" and abs(frames - planned) > abs(
            frames - planned - before
        ):
            new = frames - before  # the video came back longer: it has the segment before in it
            self.videos.pop()
            self.markings.pop()
            self.lengths.pop()
        self.last = video
        self.videos.append(Path(video.path))
        self.markings.append(video.marking)
        self.lengths.append(frames)
        self.count += 1
        return max(0, new)

    def next_input(self, segment: Segment) -> MediaInput:
        """Return what the next segment begins from."""
        if segment.continues_from == "video":
            place = _address(self.last) or {"path": str(self.videos[-1])}
            return MediaInput.model_validate(
                {
                    "role": InputRole.SOURCE_VIDEO,
                    "mime_type": "video/mp4",
                    "own_id": None if self.last is None else self.last.own_id,
                    **place,
                }
            )
        from media_agent.ingest.read import read_last_image
        from media_agent.video.images import as_png

        self.folder.mkdir(parents=True, exist_ok=True)
        image = self.folder / f"segment-{self.count + 1:04d}.first.png"
        try:
            image.write_bytes(as_png(read_last_image(self.videos[-1])))
        except InvalidRequestError as error:  # not the caller's fault
            raise BackendResponseError(error.message) from error
        return MediaInput(role=InputRole.FIRST_FRAME, path=str(image), mime_type="image/png")

    def join(self, complete: bool, request: VideoRequest, key: str) -> Artifact:
        """Write one video from all segments, with the marks that the request of this key wants."""
        from media_agent.video.concat import join_videos
        from media_agent.video.probe import describe

        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / ("video.mp4" if complete else "video.partial.mp4")
        is_labelled = request.visible_label is not None
        is_marked = all(each is not None and each.watermark for each in self.markings)
        new = request.model_copy(update={"watermark": None}) if is_marked else request
        joined = join_videos(
            self.videos,
            target,
            shared=self.shared,
            mark=build_mark(new, key),
            encode=is_labelled,
        )
        self.frames = joined.frames
        if joined.encoded_again and not is_labelled:
            self.warnings.append(
                "the segments differ in their encoding; the video was encoded again"
            )
        kind = ArtifactKind.VIDEO if complete else ArtifactKind.PARTIAL_VIDEO
        own_id = (
            None if self.last is None else self.last.own_id
        )  # whoever knows its end continues it
        video = describe(target, kind)
        marking = None
        if is_marked or joined.encoded_again:
            marking = describe_marking(request, key, video.metadata)
        return video.model_copy(update={"own_id": own_id, "marking": marking})


class SegmentRunner:
    """Runs segments as jobs of their own; one that is not waited for any more is not stopped."""

    def __init__(self, running: "JobRunner", store: Ledger) -> None:
        self._running = running
        self._store = store
        self._stopped: set[str] = set()

    async def run(
        self,
        job_id: str,
        plan: Plan,
        on_event: Callable[[JobEvent], None],
        *,
        part_of: str | None = None,
    ) -> VideoJob:
        """Run a segment of the video under the key `part_of`, resume it, or return how it ended.

        One that failed or was cancelled is made again, as a job of its own, when the video ended
        with it and was resumed since.
        """
        named = self._find_named(job_id)
        tried = self._segments_of(part_of, named)
        if tried:
            ended_at = None if part_of is None else self._ended_at(part_of)
            is_new = ended_at is None or tried[-1].updated_at > ended_at
            if is_new or tried[-1].status not in (JobStatus.FAILED, JobStatus.CANCELLED):
                return await self._resume(tried[-1].id, on_event)
        name = _attempt(job_id, len(named))
        terms = self._terms(plan, part_of)
        segment, _ = await self._running.keep(name, plan.request, terms)
        if job_id in self._stopped:
            self._store.owners.request_cancel(name)
        return await self._running.run_new(segment, on_event, lets_go=True)

    async def stop(self, job_id: str, *, part_of: str | None = None) -> None:
        """Stop a segment that is being made, or is about to be."""
        self._stopped.add(job_id)
        for segment in self._segments_of(part_of, self._find_named(job_id))[-1:]:
            await self._running.stop(segment.id)

    def leaves_off(self, error: MediaAgentError) -> bool:
        """Return whether an error is no word about a segment; see `JobRunner`."""
        return self._running.leaves_off(error)

    def is_begun(self, job_id: str, *, part_of: str) -> bool:
        """Return whether a segment was begun, in this process or before."""
        return bool(self._segments_of(part_of, self._find_named(job_id)))

    async def _resume(self, job_id: str, on_event: Callable[[JobEvent], None]) -> VideoJob:
        with contextlib.suppress(JobError):  # somebody works on it
            return await self._running.resume(job_id, on_event, lets_go=True)
        return await self._running.attach(job_id, on_event, lets_go=True)

    def _find_named(self, job_id: str) -> tuple[VideoJob, ...]:
        """Return the jobs named like a segment, oldest first; callers may choose such names."""
        named: tuple[VideoJob, ...] = ()
        with contextlib.suppress(JobNotFoundError):
            while True:
                named += (self._store.jobs.get(_attempt(job_id, len(named))),)
        return named

    def _segments_of(self, key: str | None, named: tuple[VideoJob, ...]) -> tuple[VideoJob, ...]:
        """Return those of the video of a key; each but the last failed or was cancelled."""
        return tuple(each for each in named if self._store.jobs.terms(each.id).part_of == key)

    def _terms(self, plan: Plan, key: str | None) -> JobOptions:
        """Return the terms of a segment, which is counted and paid as the video of the key is."""
        video = None if key is None else self._store.submissions.job_of(key)
        if video is None:
            return JobOptions((plan,), part_of=key)
        whole = self._store.jobs.terms(video)
        return JobOptions(
            (plan,),
            part_of=key,
            label=whole.label,
            caller=whole.caller,
            resale_factor=whole.resale_factor,
        )

    def _ended_at(self, key: str) -> datetime | None:
        """Return when the video under this key last failed or was cancelled, None if never."""
        video = self._store.submissions.job_of(key)
        events = () if video is None else self._store.events.read(video)
        times = [each.time for each in events if isinstance(each.event, JobFailed | JobCancelled)]
        return times[-1] if times else None


def _attempt(job_id: str, ended: int) -> str:
    """Return the id under which a segment is made when so many attempts ended without a video."""
    return job_id if ended == 0 else f"{job_id}.{ended + 1}"


def _address(video: Artifact | None) -> dict[str, str]:
    """Return where a video still lies at whoever made it, so that it need not be sent there."""
    if video is None or video.uri is None or not video.uri.startswith("https://"):
        return {}
    if video.expires_at is not None and video.expires_at < datetime.now(UTC):
        return {}
    return {"url": video.uri}
