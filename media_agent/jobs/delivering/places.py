"""Where the video of a job goes, and what is left behind when it is there."""

import contextlib
import shutil
from collections.abc import Iterator

from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.branch_state import can_branch
from media_agent.ledger.state import JobOptions
from media_agent.storage.destination import Destination, is_there, reserve
from media_agent.storage.files import storage_errors
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.jobs import VideoJob


@contextlib.contextmanager
def reserve_destination(
    job_id: str, terms: JobOptions, context: JobContext, *, from_living: bool = False
) -> Iterator[Destination]:
    """Reserve where the video of a job goes; a video that this very job put there is no obstacle.

    With `from_living` a living process lost the job to this one, and with it the place.
    """
    store = context.store
    video = store.jobs.find_publishing(job_id)
    overwrite = terms.overwrite or (video is not None and is_there(video))
    videos = max(plan.request.n for plan in terms.plans)
    if terms.out is not None:
        with reserve(
            terms.out, overwrite=overwrite, videos=videos, force=from_living
        ) as destination:
            yield destination
        return
    folder = store.jobs.folder(job_id)
    with storage_errors(f"the job folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    yield Destination(folder / "video.mp4", overwrite, videos)


def clean_up(job: VideoJob, capabilities: Capabilities, context: JobContext) -> None:
    """Remove what a completed job left and nobody needs; a video to branch from keeps chunks."""
    stays = ("chunks", "states") if can_branch(capabilities) else ()
    keys = {submission.key for submission in context.store.submissions.of(job.id)}
    for name in {job.id, *keys}:
        folder = context.work_folder / name
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                if path.name in stays:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            if not stays:
                folder.rmdir()
