"""The contact sheet of a finished job, with the prompt of each shot over its frames."""

from itertools import accumulate
from pathlib import Path

from media_agent.contact_sheet import write_contact_sheet
from media_agent.errors import InvalidRequestError
from media_agent.files import storage_errors, temporary_beside
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.request import VideoRequest


def write_job_sheet(job: VideoJob, sheet: Path) -> None:
    """Write the sheet whole or not at all; one that exists is replaced.

    Raises:
        InvalidRequestError: the job has no film on this machine.
        StorageError: the film cannot be read, or the sheet not written.
    """
    film = job.artifacts[0].path if job.artifacts else None
    if film is None:
        raise InvalidRequestError(f"job {job.id} has no film to make a contact sheet of")
    aside = temporary_beside(sheet)
    try:
        with storage_errors(f"the contact sheet {sheet}"):
            write_contact_sheet(Path(film), aside, captions=captions(job.plan.request))
            aside.replace(sheet)
    finally:
        aside.unlink(missing_ok=True)


def captions(request: VideoRequest) -> list[tuple[int, str]]:
    """Return the first frame and the prompt of every shot of a negotiated request."""
    shots = request.storyboard()
    lengths = [round((shot.duration or 0) * (request.fps or 0)) for shot in shots]
    starts = [0, *accumulate(lengths)][: len(shots)]
    return [(start, shot.prompt) for start, shot in zip(starts, shots, strict=True)]
