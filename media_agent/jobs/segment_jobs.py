"""The parts of a long film, each a job of its own: what is made of them, and how one is made."""

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
)
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import JobTerms
from media_agent.provenance.record import read_record
from media_agent_schemas.capabilities import Plan, PlanPart
from media_agent_schemas.events import Cost, JobCancelled, JobEvent, JobFailed
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind, InputRole, MediaInput

if TYPE_CHECKING:
    from media_agent.jobs.runner import Running


class MadeParts:
    """The parts made so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.films: list[Path] = []
        self.last: Artifact | None = None
        self.lengths: list[int] = []
        self.count = 0
        self.frames = 0
        self.shared = 0
        self.warnings: list[str] = []
        self.costs: list[float | None] = []

    def add(self, job: VideoJob, part: PlanPart) -> int:
        """Take the film of a part, and return how many frames are new in it."""
        film = job.artifacts[0] if job.artifacts else None
        if film is None or film.path is None or film.metadata is None:
            raise BackendResponseError(f"part {job.id} completed without a film")
        self.warnings += [text for text in job.warnings if text not in self.warnings]
        frames = film.metadata.frames
        before = self.lengths[-1] if self.lengths else 0
        planned = part.request.num_frames or frames
        new = frames
        if part.takes == "last_frame":
            self.shared = 1
            new = frames - 1
        elif part.takes == "film" and abs(frames - planned) > abs(frames - planned - before):
            new = frames - before  # the film came back longer: it has the part before in it
            self.films.pop()
            self.lengths.pop()
        self.last = film
        self.films.append(Path(film.path))
        self.lengths.append(frames)
        self.count += 1
        self.costs.append(_cost(job))
        return max(0, new)

    @property
    def cost(self) -> Cost:
        """What the parts cost together; unknown if it is of any."""
        known = [usd for usd in self.costs if usd is not None]
        usd = sum(known) if known and len(known) == len(self.costs) else None
        return Cost(usd=usd, source=f"the sum of {len(self.costs)} parts")

    def handed_on(self, part: PlanPart) -> MediaInput:
        """Return what the next part begins from."""
        if part.takes == "film":
            place = _address(self.last) or {"path": str(self.films[-1])}
            return MediaInput.model_validate(
                {"role": InputRole.SOURCE_VIDEO, "mime_type": "video/mp4", **place}
            )
        from media_agent.ingest.read import last_picture
        from media_agent.video.images import as_png

        self.folder.mkdir(parents=True, exist_ok=True)
        picture = self.folder / f"part-{self.count + 1:04d}.first.png"
        try:
            picture.write_bytes(as_png(last_picture(self.films[-1])))
        except InvalidRequestError as error:  # not the caller's fault
            raise BackendResponseError(error.message) from error
        return MediaInput(role=InputRole.FIRST_FRAME, path=str(picture), mime_type="image/png")

    def join(self, complete: bool) -> Artifact:
        """Write one film from all parts."""
        from media_agent.video.codec import describe
        from media_agent.video.concat import join_films

        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / ("video.mp4" if complete else "video.partial.mp4")
        joined = join_films(self.films, target, shared=self.shared)
        self.frames = joined.frames
        if joined.encoded_again:
            self.warnings.append("the parts differ in their encoding; the film was encoded again")
        if joined.lost_sound:
            self.warnings.append("the sound of the parts was left out: it is not joined")
        return describe(target, ArtifactKind.VIDEO if complete else ArtifactKind.PARTIAL_VIDEO)


class PartMaker:
    """Makes parts as jobs of their own; one that is not waited for any more is not stopped."""

    def __init__(self, running: "Running", store: Ledger) -> None:
        self._running = running
        self._store = store
        self._stopped: set[str] = set()

    async def make(
        self,
        job_id: str,
        plan: Plan,
        on_event: Callable[[JobEvent], None],
        *,
        part_of: str | None = None,
    ) -> VideoJob:
        """Make a part of the film under the key `part_of`, go on with it, or return how it ended.

        One that failed or was cancelled is made again, as a job of its own, when the film ended
        with it and was resumed since.
        """
        named = self._named(job_id)
        tried = self._parts_of(part_of, named)
        if tried:
            ended_at = None if part_of is None else self._ended_at(part_of)
            is_new = ended_at is None or tried[-1].updated_at > ended_at
            if is_new or tried[-1].status not in (JobStatus.FAILED, JobStatus.CANCELLED):
                return await self._gone_on(tried[-1].id, on_event)
        name = _attempt(job_id, len(named))
        part, _ = await self._running.keep(name, plan.request, JobTerms((plan,), part_of=part_of))
        if job_id in self._stopped:
            self._store.owners.request_cancel(name)
        return await self._running.made(part, on_event, lets_go=True)

    async def stop(self, job_id: str, *, part_of: str | None = None) -> None:
        """Stop a part that is being made, or is about to be."""
        self._stopped.add(job_id)
        for part in self._parts_of(part_of, self._named(job_id))[-1:]:
            await self._running.stop(part.id)

    async def _gone_on(self, job_id: str, on_event: Callable[[JobEvent], None]) -> VideoJob:
        with contextlib.suppress(JobError):  # somebody works on it
            return await self._running.resumed(job_id, on_event, lets_go=True)
        return await self._running.watched(job_id, on_event, lets_go=True)

    def _named(self, job_id: str) -> tuple[VideoJob, ...]:
        """Return the jobs with the names of a part, oldest first; callers may choose such names."""
        named: tuple[VideoJob, ...] = ()
        with contextlib.suppress(JobNotFoundError):
            while True:
                named += (self._store.jobs.get(_attempt(job_id, len(named))),)
        return named

    def _parts_of(self, key: str | None, named: tuple[VideoJob, ...]) -> tuple[VideoJob, ...]:
        """Return those that are of the film of a key; each but the last failed or was cancelled."""
        return tuple(each for each in named if self._store.jobs.terms(each.id).part_of == key)

    def _ended_at(self, key: str) -> datetime | None:
        """Return when the film under this key last failed or was cancelled, None if never."""
        film = self._store.submissions.job_of(key)
        events = () if film is None else self._store.events.read(film)
        times = [each.time for each in events if isinstance(each.event, JobFailed | JobCancelled)]
        return times[-1] if times else None


def _attempt(job_id: str, ended: int) -> str:
    """Return the id under which a part is made when so many attempts ended without a film."""
    return job_id if ended == 0 else f"{job_id}.{ended + 1}"


def _cost(job: VideoJob) -> float | None:
    """Return what was billed for a part, as its record says."""
    record = read_record(job)
    return None if record is None else record.cost.usd


def _address(film: Artifact | None) -> dict[str, str]:
    """Return where a film still lies at whoever made it, so that it need not be sent there."""
    if film is None or film.uri is None or not film.uri.startswith("https://"):
        return {}
    if film.expires_at is not None and film.expires_at < datetime.now(UTC):
        return {}
    return {"url": film.uri}
