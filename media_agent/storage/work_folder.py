"""The work folder of a video: the names in it, and what a branch shares with its parent."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from media_agent.errors import NotResumableError
from media_agent.storage.files import as_storage_error, numbered, sync_folder, write_aside


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
    """Make the first chunks of a video, and the newest state within them, those of a branch too.

    Both are work folders; each of the `videos` of the branch begins with these chunks. From then on
    it does not matter what becomes of the parent, also when this is done again. A parent without
    chunks has nothing to share.

    Raises:
        NotResumableError: a chunk is gone.
        StorageError: it cannot be written; some of it may be there.
    """
    if not chunks or not (parent / "chunks").is_dir():
        return
    try:
        for folder in video_folders(branch, videos):
            _link([parent / "chunks" / chunk_name(index) for index in range(chunks)], folder)
    except FileNotFoundError as error:
        raise NotResumableError(
            f"no video can branch at chunk {chunks}: {error.filename} is gone",
            hint="branch at an earlier chunk, or generate the whole video again",
        ) from error
    state = find_state(parent, chunks)
    with suppress(FileNotFoundError):  # it was just discarded
        if state:
            _link([parent / "states" / state_name(state)], branch)


def count_chunks(work: Path) -> int:
    """Return how many chunks are there, from the first on."""
    kept = numbered(work / "chunks", ".chunk")
    return next(index for index in count() if index not in kept)


def find_state(work: Path, last: int) -> int:
    """Return the chunk of the newest state that is kept, up to chunk `last`; 0: there is none."""
    kept = numbered(work / "states", ".safetensors")
    return max((chunk for chunk in kept if chunk <= last), default=0)


def thin_states(states: Sequence[int], newest: int) -> list[int]:
    """Return the states to keep: so many of the newest, then fewer and fewer, and the oldest.

    The older a state, the farther from its neighbours: from any chunk it is at most about a quarter
    of the way back that the video has gone since. One that is left out is never wanted later.
    """
    last = states[-1] if states else 0

    def is_on_grid(state: int) -> bool:
        return state % (1 << ((last - state) // newest).bit_length()) == 0

    old = states[:-newest]
    return [*(s for s in old if s == old[0] or is_on_grid(s)), *states[-newest:]]


def count_thinned(chunks: int, newest: int) -> int:
    """Return about how many states of a video of so many chunks are kept by `thin_states`."""
    return len(thin_states(range(1, chunks + 1), newest))


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
