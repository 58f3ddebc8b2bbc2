"""Which files belong to a job, and how much disk removing them frees."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from media_agent.ledger.ledger import Ledger
from media_agent.provenance.job_sheet import SHEETS
from media_agent.storage.files import is_folder_name
from media_agent_schemas.media import Artifact


class DiskKind(StrEnum):
    """What a file is for."""

    STATES = "states"
    """To branch or extend a video seamlessly."""
    WORK = "work"
    """All else of its making: chunks, the segments of a video that was joined, contact sheets."""
    VIDEOS = "videos"
    """What was delivered."""


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The files and folders of a job that are there."""

    job_id: str
    states: tuple[Path, ...]
    work: tuple[Path, ...]
    videos: tuple[Artifact, ...]

    def paths(self, kinds: Iterable[DiskKind]) -> tuple[Path, ...]:
        """Return those of some kinds."""
        by_kind = {
            DiskKind.STATES: self.states,
            DiskKind.WORK: self.work,
            DiskKind.VIDEOS: tuple(Path(video.path) for video in self.videos if video.path),
        }
        return tuple(path for kind in DiskKind if kind in kinds for path in by_kind[kind])


def find_files(store: Ledger, work_folder: Path, job_id: str) -> JobFiles:
    """Return what is there of a job; its segments are work of it, their videos too."""
    segments = store.jobs.segments_of(job_id)
    kept = [path for name in (job_id, *segments) for path in _list_work(store, work_folder, name)]
    folders = (store.jobs.folder(segment) for segment in segments)
    return JobFiles(
        job_id,
        states=tuple(path for path in kept if path.name == "states"),
        work=(
            *(path for path in kept if path.name != "states"),
            *(folder for folder in folders if folder.is_dir()),
            *store.jobs.folder(job_id).glob(SHEETS),
        ),
        videos=tuple(filter(_seems_there, store.jobs.artifacts_of(job_id))),
    )


Names = dict[tuple[int, int], int]
"""How many names of a file were counted, by its device and number."""


def measure(paths: Iterable[Path], names: Names | None = None) -> int:
    """Return how many bytes removing these files and folders frees.

    A branch shares files with its parent: such a file counts where all its names are removed. With
    `names`, those that were counted into it before are removed too.
    """
    names = {} if names is None else names
    total = 0
    for file in _stat_files(paths):
        inode = (file.st_dev, file.st_ino)
        names[inode] = names.get(inode, 0) + 1
        if names[inode] == file.st_nlink:
            total += file.st_size
    return total


def _list_work(store: Ledger, work_folder: Path, job_id: str) -> Iterator[Path]:
    """Yield what lies in the work folders of a job: its own, and one per further submission."""
    keys = (submission.key for submission in store.submissions.of(job_id))
    for name in dict.fromkeys((job_id, *keys)):
        folder = work_folder / name
        if is_folder_name(name) and folder.is_dir():  # no work is kept under another name
            yield from folder.iterdir()


def _seems_there(video: Artifact) -> bool:
    """Return whether a video of this size still lies at its place; another may have replaced it."""
    try:
        return video.path is not None and Path(video.path).stat().st_size == video.size_bytes
    except OSError:
        return False


def _stat_files(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                with os.scandir(path) as entries:
                    yield from _stat_files([Path(entry.path) for entry in entries])
            else:
                yield path.lstat()
        except OSError:  # gone meanwhile
            continue
