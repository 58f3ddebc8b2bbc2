"""Where the files of a job are: here, or on the machine of the worker that made them."""

from collections.abc import Iterable
from pathlib import Path

from media_agent.config.settings import Settings
from media_agent.errors import (
    InvalidRequestError,
    JobError,
    StorageError,
    VideoNotReadyError,
)
from media_agent.storage.destination import Destination
from media_agent.storage.new_file import check_new_file
from media_agent_schemas.jobs import VideoJob


async def describe_elsewhere(job: VideoJob, settings: Settings) -> dict[str, str]:
    """Return what is to be said behind each path of a job that is not on this machine."""
    elsewhere = _list_elsewhere((*_videos(job), job.record_path))
    if not elsewhere:
        return {}
    where = await _name_machine(job, settings)
    if settings.shared_files() is not None:
        where += f"; media-agent jobs fetch {job.id} brings it"
    return dict.fromkeys(elsewhere, f" ({where})")


async def check_is_here(job: VideoJob, settings: Settings) -> None:
    """Check that the videos of a job are here, once they were brought from where files are shared.

    Raises:
        StorageError: one is not; where it is.
    """
    elsewhere = _list_elsewhere(_videos(job))
    if not elsewhere:
        return
    said = f"the video of job {job.id}, {elsewhere[0]}, is {await _name_machine(job, settings)}"
    shared = settings.shared_files()
    if shared is not None:
        raise StorageError(f"{said}, and not in {shared.url} either", hint="copy it from there")
    raise StorageError(
        said, hint="copy it from there, or set jobs.files, where machines share what they make"
    )


def check_has_video(job: VideoJob) -> None:
    """Check that there is a file to fetch.

    Raises:
        VideoNotReadyError: not yet.
        JobError: there never was, or only an address of it is known.
    """
    if not job.status.is_terminal:
        raise VideoNotReadyError(
            f"job {job.id} is {job.status}",
            hint=f"media-agent jobs show {job.id} says how it stands",
        )
    if all(each.path is None for each in job.artifacts):
        raise JobError(
            f"job {job.id} is {job.status} and has no file of a video",
            hint=f"media-agent jobs show {job.id} says why",
        )


def check_place(job: VideoJob, out: Path, *, overwrite: bool) -> Destination:
    """Return where the videos of a job go: NAME.mp4, NAME-2.mp4, ...

    Raises:
        InvalidRequestError: one cannot go there.
    """
    place = Destination(out, overwrite, len(job.artifacts))
    for number in range(1, len(job.artifacts) + 1):
        target = place.place_of(complete=True, number=number)
        check_new_file(target, "--out", overwrite=overwrite, suffix=".mp4")
        if overwrite and any(each.path == str(target.resolve()) for each in job.artifacts):
            raise InvalidRequestError(f"--out: {target} is the video of this job already")
    return place


def copy_videos(job: VideoJob, place: Destination) -> VideoJob:
    """Copy the videos of a job, which are here, to a place; return the job with them there.

    Raises:
        StorageError: disk full, folder gone, or a file appeared at the place meanwhile.
    """
    copies = [
        each
        if each.path is None
        else each.model_copy(
            update={"path": str(place.publish(Path(each.path), complete=True, number=number))}
        )
        for number, each in enumerate(job.artifacts, start=1)
    ]
    return job.model_copy(update={"artifacts": tuple(copies)})


def _videos(job: VideoJob) -> list[str | None]:
    return [each.path for each in job.artifacts]


def _list_elsewhere(paths: Iterable[str | None]) -> list[str]:
    return [path for path in paths if path is not None and not Path(path).exists()]


async def _name_machine(job: VideoJob, settings: Settings) -> str:
    machine = None
    if settings.jobs.runner == "dbos":
        from media_agent.cluster.whereabouts import find_machine

        machine = await find_machine(job.id, settings)
    return "not on this machine" if machine is None else f"on {machine}, not on this machine"
