"""The work folder of a video: the names in it, and what a branch shares with its parent."""

import shutil
from contextlib import suppress
from pathlib import Path

from media_agent.errors import NotResumableError
from media_agent.storage.files import as_storage_error, sync_folder, write_aside


def chunk_name(index: int) -> str:
    """Return the name, in the folder "chunks", of this chunk."""
    return f"{index:08d}.chunk"


def state_name(next_chunk: int) -> str:
    """Return the name, in the folder "states", of the state from which this chunk is made."""
    return f"{next_chunk:08d}.safetensors"


def video_folders(work: Path, count: int) -> list[Path]:
    """Return where the videos of one request are made: the first in the work folder itself."""
    return [work, *(work / f"video-{number}" for number in range(2, count + 1))]


def link_chunks(parent: Path, branch: Path, chunks: int, *, videos: int = 1) -> None:
    """Make the first chunks of a video, and the state after them, those of a branch too.

    Both are work folders; each of the `videos` of the branch begins with these chunks. From then on
    it does not matter what becomes of the parent, also when this is done again. A parent without
    chunks has nothing to share.

    Raises:
        NotResumableError: a chunk is gone.
        StorageError: it cannot be written; some of it may be there.
    """
    if not (parent / "chunks").is_dir():
        return
    try:
        for folder in video_folders(branch, videos):
            _link([parent / "chunks" / chunk_name(index) for index in range(chunks)], folder)
    except FileNotFoundError as error:
        raise NotResumableError(
            f"no video can branch at chunk {chunks}: {error.filename} is gone",
            hint="branch at an earlier chunk, or generate the whole video again",
        ) from error
    with suppress(FileNotFoundError):  # not every video has states
        _link([parent / "states" / state_name(chunks)], branch)


def _link(sources: list[Path], work: Path) -> None:
    """Make the same files appear in the folder of the same name of another work folder."""
    folder = work / sources[0].parent.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            _link_or_copy(source, folder / source.name)
        sync_folder(folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise as_storage_error(str(folder), error) from error


def _link_or_copy(source: Path, target: Path) -> None:
    """Make the same file appear at `target`; neither is ever written to again, only replaced."""
    if target.exists():
        return
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # on another disk, or where there are no links
        with write_aside(target) as aside:
            shutil.copyfile(source, aside)
