"""The films of the parts made so far: what the next part begins from, and the whole."""

from datetime import UTC, datetime
from pathlib import Path

from media_agent.errors import BackendResponseError, InvalidRequestError
from media_agent.record import read_record
from media_agent_schemas.capabilities import PlanPart
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind, InputRole, MediaInput


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
        from media_agent.pictures import as_png
        from media_agent.reading import last_picture

        self.folder.mkdir(parents=True, exist_ok=True)
        picture = self.folder / f"part-{self.count + 1:04d}.first.png"
        try:
            picture.write_bytes(as_png(last_picture(self.films[-1])))
        except InvalidRequestError as error:  # not the caller's fault
            raise BackendResponseError(error.message) from error
        return MediaInput(role=InputRole.FIRST_FRAME, path=str(picture), mime_type="image/png")

    def join(self, complete: bool) -> Artifact:
        """Write one film from all parts."""
        from media_agent.joining import join_films
        from media_agent.video import describe

        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / ("video.mp4" if complete else "video.partial.mp4")
        joined = join_films(self.films, target, shared=self.shared)
        self.frames = joined.frames
        if joined.encoded_again:
            self.warnings.append("the parts differ in their encoding; the film was encoded again")
        if joined.lost_sound:
            self.warnings.append("the sound of the parts was left out: it is not joined")
        return describe(target, ArtifactKind.VIDEO if complete else ArtifactKind.PARTIAL_VIDEO)


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
