"""What policies say of a video before it is delivered; what is not delivered is kept aside."""

import asyncio
import os
import shutil
from pathlib import Path

from media_agent.errors import (
    BelowQualityError,
    PolicyFailedError,
    PolicyRefusedError,
    in_one_sentence,
    to_info,
)
from media_agent.jobs.context import JobContext
from media_agent.policy.decisions import PolicyCall
from media_agent.storage.files import storage_errors
from media_agent_schemas.base import format_usd
from media_agent_schemas.events import JobCompleted, JobFailed, TerminalEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.policies import PolicyNote

REFUSED = "refused"
"""The folder within that of a job for videos that were refused."""


class ResultChecks:
    """The checks of the videos of one job."""

    def __init__(self, job: VideoJob, context: JobContext) -> None:
        self._job = job
        self._context = context
        self.notes: tuple[PolicyNote, ...] = ()
        """What was said, for the record."""
        self.refusals: list[PolicyRefusedError | BelowQualityError] = []

    async def allow(self, video: Artifact, number: int) -> Artifact | None:
        """Return the video to deliver, maybe another file; None: it is refused, and kept aside.

        Raises:
            PolicyFailedError: a policy could not be asked; the video stays where it is.
        """
        if video.path is None:
            return video
        path, call = Path(video.path), PolicyCall(self._job.caller, self._job.id)
        try:
            chosen, notes = await self._context.policies.after_result(self._job.plan, path, call)
        except PolicyRefusedError as error:
            self.notes += error.notes
            await self.keep_aside(path, number, error)
            return None
        except PolicyFailedError as error:
            self.notes += error.notes
            hint = f"{error.hint}; the video is in {path}"
            raise PolicyFailedError(error.message, notes=error.notes, hint=hint) from error
        self.notes += notes
        if chosen == path:
            return video
        return video.model_copy(update={"path": str(chosen), "marking": None})  # who knows

    async def keep_aside(
        self, path: Path, number: int, error: PolicyRefusedError | BelowQualityError
    ) -> None:
        """Keep a video that is not delivered in the folder of the job; the error says where."""
        place = await asyncio.to_thread(self._set_aside, path, number)
        kept = f"it is kept in {place}, and {self._say_paid()}"
        hint = kept if error.hint is None else f"{error.hint}; {kept}"
        self.refusals.append(type(error)(error.message, hint=hint))

    def check_any_left(self, published: list[Artifact]) -> list[str]:
        """Return what is to be said of the videos that were refused beside others.

        Raises:
            PolicyRefusedError: all were; or BelowQualityError.
        """
        if self.refusals and not published:
            raise self.refusals[0]
        return [in_one_sentence(refusal) for refusal in self.refusals]

    def end_refused(
        self, end: TerminalEvent, error: PolicyRefusedError | BelowQualityError
    ) -> TerminalEvent:
        """Return the end of a job all of whose videos were refused: it delivers nothing."""
        if not isinstance(end, JobCompleted):  # what ended it before is the thing to tell
            said = (*end.warnings, in_one_sentence(error))
            return end.model_copy(update={"artifacts": (), "warnings": said})
        facts = end.model_dump(exclude={"type", "artifacts"})
        return JobFailed.model_validate({**facts, "error": to_info(error)})

    def _set_aside(self, path: Path, number: int) -> Path:
        """Keep a refused video in the folder of the job, from where nothing is served."""
        folder = self._context.store.jobs.folder(self._job.id) / REFUSED
        place = folder / f"video-{number}.mp4"
        with storage_errors(str(place)):
            folder.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            try:
                os.link(path, place)
            except OSError:  # another disk, or one that knows no links
                shutil.copyfile(path, place)
        return place

    def _say_paid(self) -> str:
        cost = self._context.store.costs.of(self._job.id)
        if cost.usd == 0:
            return "it cost nothing"
        how_much = "nobody said how much" if cost.usd is None else f"{format_usd(cost.usd)} USD"
        return f"it was paid: {how_much}"
