"""The contact sheet of a job, with the prompts that its record says were sent."""

from pathlib import Path

from media_agent.errors import InvalidRequestError
from media_agent.provenance.record import read_record
from media_agent.storage.files import storage_errors, write_aside
from media_agent.video.contact_sheet import write_contact_sheet
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact

SHEETS = "sheet-*"
"""The images of a video in the folder of its job: its sheet, in several formats; a thumbnail."""


def sheet_name(video: Artifact) -> str:
    """Return the name of the sheet of a video, which no other video has."""
    return f"sheet-{(video.sha256 or '')[:16]}.png"


def write_job_sheet(job: VideoJob, sheet: Path) -> None:
    """Write the sheet whole or not at all; one that exists is replaced.

    Raises:
        InvalidRequestError: the job has no video on this machine.
        StorageError: the video cannot be read, or the sheet not written.
    """
    video = job.artifacts[0].path if job.artifacts else None
    if video is None:
        raise InvalidRequestError(f"job {job.id} has no video to make a contact sheet of")
    with storage_errors(f"the contact sheet {sheet}"), write_aside(sheet, durably=False) as aside:
        write_contact_sheet(Path(video), aside, captions=captions(job))


def captions(job: VideoJob) -> list[tuple[int, str]]:
    """Return first frame and prompt of each stretch, as it was steered and not as it was planned.

    Without a record there are none.
    """
    record = read_record(job)
    if record is None or record.delivered is None:
        return []
    fps = record.delivered.fps
    return [(round(shot.start * fps), shot.prompt_sent) for shot in record.shots]
