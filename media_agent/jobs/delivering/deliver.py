"""The last part of a job: its video and record put where they belong."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from media_agent.errors import (
    BackendResponseError,
    BelowQualityError,
    PolicyRefusedError,
    StorageError,
    to_info,
)
from media_agent.jobs import stopping
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.source_join import find_source, put_behind_source
from media_agent.jobs.delivering.checks import ResultChecks
from media_agent.jobs.delivering.fetch import VideoFetcher, is_video
from media_agent.jobs.delivering.mark import mark_video, place_marking, wants_marks
from media_agent.jobs.delivering.quality import QualityChecks
from media_agent.jobs.delivering.remake import Remaker
from media_agent.jobs.delivering.sign import VideoSigner
from media_agent.jobs.delivering.write_record import write_record
from media_agent.ledger.state import OwnershipLostError
from media_agent.provenance.deviations import differences
from media_agent.storage.destination import Destination
from media_agent.storage.files import storage_errors
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import JobCompleted, JobFailed, JobOutcomeUnknown, TerminalEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.provenance import Signature

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A video that only has to be put in its place."""

    video: Artifact
    sha256: str | None
    """If it was fetched and nothing was done to it since."""
    delivered: str | None
    """Where it lies as the backend delivered it."""
    said: list[str]


class Deliverer:
    """Does what is left to do for an ended job; done again after a crash, it comes out the same."""

    def __init__(
        self,
        job: VideoJob,
        backend: str,
        destination: Destination,
        context: JobContext,
        *,
        is_unwanted: Callable[[], bool] = lambda: False,
        ask_again: Callable[[], Awaitable[TerminalEvent | None]] | None = None,
        remaker: Remaker | None = None,
    ) -> None:
        """Begin; `is_unwanted` is asked while a video is fetched.

        `ask_again` returns the end as the backend says it now: addresses of videos expire.
        `remaker` makes parts again, where it can.
        """
        self._job = job
        self._backend = backend
        self._destination = destination
        self._context = context
        self._fetcher = VideoFetcher(
            job, backend, context, is_unwanted=is_unwanted, ask_again=ask_again
        )
        self._checks = ResultChecks(job, context)
        self._remaker = remaker
        self._quality = QualityChecks(job, context, self._checks, remaker)

    async def deliver(
        self, end: TerminalEvent, capabilities: Capabilities, resumed_from: int | None
    ) -> TerminalEvent:
        """Put video and record in their places and return the end with where they are.

        Trouble of our own fails no paid work: its outcome is unknown until a later run delivers it.
        """
        is_paid = not capabilities.resubmits
        signer = VideoSigner(self._job, end, capabilities, self._context)
        try:
            end = await self._collect(end, signer)
        except OwnershipLostError:
            raise
        except (PolicyRefusedError, BelowQualityError) as error:
            end = self._checks.end_refused(end, error)
        except Exception as error:  # whatever broke here, what was made is not to be lost by it
            _LOGGER.debug("the video of job %s was not collected", self._job.id, exc_info=True)
            elsewhere = tuple(map(self._fetcher.to_look_at, filter(_is_elsewhere, end.artifacts)))
            end = end.model_copy(update={"artifacts": elsewhere})
            end = self._as_undelivered(end, to_info(error), is_paid=is_paid)
        self._context.pass_checkpoint("collect")
        try:
            write = partial(
                write_record,
                self._job,
                end,
                capabilities,
                destination=self._destination,
                context=self._context,
                checks=self._checks,
                quality=self._quality,
                remaker=self._remaker,
                resumed_from=resumed_from,
            )
            await stopping.finish_in_thread(write)
        except OwnershipLostError:
            raise
        except Exception as error:
            _LOGGER.debug("job %s got no record", self._job.id, exc_info=True)
            end = self._as_undelivered(end, to_info(error), is_paid=is_paid)
        self._context.pass_checkpoint("record")
        return end

    async def _collect(self, end: TerminalEvent, signer: VideoSigner) -> TerminalEvent:
        """Return the end with its video in place."""
        is_complete = isinstance(end, JobCompleted)
        videos = [file for file in end.artifacts if is_video(file)]
        if is_complete and not videos:
            raise BackendResponseError(f"{self._backend} completed without a video")
        published: list[Artifact] = []
        said: list[str] = []
        wanted = videos[: self._destination.videos]
        for number, each in enumerate(wanted, start=1):
            ready = await self._prepare(each, number, is_complete=is_complete)
            if ready is None:
                continue
            said += ready.said
            delivered = None if ready.delivered is None else Path(ready.delivered)
            sign = partial(signer.sign, delivered=delivered)
            place = partial(self._publish, ready, is_complete, number, sign=sign)
            published.append(await stopping.finish_in_thread(place))
            if is_complete and find_source(self._job) is None:
                said += self._differences(published[-1])
            if is_complete:
                said += await asyncio.to_thread(_warn_index_behind, published[-1])
        said += signer.warnings
        said += self._quality.warnings
        said += self._checks.check_any_left(published)
        rest = [file for file in end.artifacts if file not in wanted and not self._job.plan.held]
        others = [self._fetcher.to_look_at(file) for file in rest]
        warnings = tuple(dict.fromkeys((*end.warnings, *said)))  # segments may have said the same
        changes = {"artifacts": (*published, *others), "warnings": warnings}
        return end.model_copy(update=changes)

    async def _prepare(self, each: Artifact, number: int, *, is_complete: bool) -> _Ready | None:
        """Return a video as it is to be published; None: a policy or its quality keeps it back."""
        said: list[str] = []
        found, sha256 = await self._fetcher.fetch(each, number)
        delivered = found.path  # before anything is done to it
        allowed = await self._checks.allow(found, number)
        if allowed is None:
            return None
        video, sha256 = allowed, sha256 if allowed is found else None
        if wants_marks(video, self._job):
            target = self._context.work_folder / self._job.id / f"marked-{number}.mp4"
            work = partial(mark_video, video, self._job, target, is_whole=is_complete)
            video, news = await asyncio.to_thread(work)
            sha256 = sha256 if video is allowed else None
            said += news
        if is_complete and find_source(self._job) is not None:
            said += await asyncio.to_thread(self._compare, video)
            video, news = await put_behind_source(video, self._job, self._context, number=number)
            sha256 = sha256 if video.joined is None or video.joined.by_backend else None
            said += news
        if is_complete:
            passed = await self._quality.pass_on(video, number)
            if passed is None:
                return None
            if passed is not video:  # another job made it
                video, sha256, delivered = passed, None, passed.path
        return _Ready(video, sha256, delivered, said)

    def _compare(self, video: Artifact) -> list[str]:
        """Say how the new part differs from the plan, before it is put behind its source."""
        from media_agent.video.probe import describe

        return [] if video.path is None else self._differences(describe(Path(video.path)))

    def _differences(self, video: Artifact) -> list[str]:
        asked, planned = self._job.request, self._job.plan.request
        return [] if video.metadata is None else [*differences(asked, planned, video.metadata)]

    def _as_undelivered(
        self, end: TerminalEvent, trouble: ErrorInfo, *, is_paid: bool
    ) -> TerminalEvent:
        """Return what the end becomes by trouble with its video or record."""
        if isinstance(end, JobFailed | JobOutcomeUnknown):  # the first trouble is the one to tell
            return end.model_copy(update={"warnings": (*end.warnings, trouble.message)})
        facts = end.model_dump(exclude={"type"})
        if not is_paid:
            return JobFailed.model_validate({**facts, "error": trouble})
        does = "collects the video again" if isinstance(end, JobCompleted) else "checks again"
        again = f"media-agent jobs resume {self._job.id} {does}"
        hint = again if trouble.hint is None else f"{trouble.hint}; then {again}"
        error = trouble.model_copy(update={"hint": hint})
        return JobOutcomeUnknown.model_validate({**facts, "error": error})

    def _publish(
        self,
        ready: _Ready,
        is_complete: bool,
        number: int,
        *,
        sign: Callable[[Path, Artifact], tuple[Path, Signature]],
    ) -> Artifact:
        from media_agent.ingest.completeness import check_whole
        from media_agent.video.mp4.faststart import has_index_in_front, move_index
        from media_agent.video.probe import describe

        video, sha256 = ready.video, ready.sha256
        if video.path is None:
            raise BackendResponseError(f"{self._backend} delivered no file for its video")
        source = Path(video.path)
        if not source.exists():
            raise StorageError(f"the video {source} cannot be collected: it is gone")
        if is_complete and sha256 is None:
            check_whole(source)
        if is_complete and not has_index_in_front(source):
            front = self._context.work_folder / self._job.id / f"indexed-{number}.mp4"
            with storage_errors(str(front)):
                front.parent.mkdir(parents=True, exist_ok=True)
            if move_index(source, front):
                source, sha256 = front, None
        signed, signature = sign(source, video)
        if signature.signed:
            source, sha256 = signed, None
        found = describe(source, video.kind, sha256=sha256)
        place = self._destination.place_of(is_complete, number)
        kept = ("uri", "expires_at", "own_id", "joined")
        facts = {name: getattr(video, name) for name in kept}
        facts["marking"] = place_marking(video, self._job)
        published = found.model_copy(update={"path": str(place), "signature": signature, **facts})
        if is_complete and number == 1:
            self._context.store.jobs.record_publishing(self._job.id, published)
        try:
            self._destination.publish(source, complete=is_complete, number=number)
        except StorageError as error:
            hint = f"{error.hint}; " if error.hint else ""
            raise StorageError(error.message, hint=f"{hint}the video is in {video.path}") from error
        return published


def _warn_index_behind(video: Artifact) -> list[str]:
    """Say that a video starts to play only when it is there as a whole."""
    from media_agent.video.mp4.faststart import has_index_in_front

    if video.path is None or has_index_in_front(Path(video.path)):
        return []
    return ["its index is at the end, and was left there: it plays only once all of it is loaded"]


def _is_elsewhere(artifact: Artifact) -> bool:
    return artifact.uri is not None
