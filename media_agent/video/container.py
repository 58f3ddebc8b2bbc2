"""Files of videos, opened to be read and to be written. PyAV is imported at first use."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pydantic import ValidationError

from media_agent.errors import StorageError

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

LARGEST_VIDEO = 8 * 2**30  # bytes; what is larger is not taken


@contextmanager
def open_video(source: Path | BinaryIO) -> Iterator["InputContainer"]:
    """Open a video; whatever is wrong with it, then or while it is read, is one clear error."""
    import av

    name = str(source) if isinstance(source, Path) else "the video"
    try:
        # It came from outside, maybe: nothing that it refers to is opened.
        with open_input(
            name if isinstance(source, Path) else source, {"protocol_whitelist": "file"}
        ) as video:
            if not video.streams.video:
                raise StorageError(f"{name} holds no video")
            if video.streams.video[0].codec_context is None:
                raise StorageError(f"{name} holds a video of an unknown codec")
            yield video
    except av.error.FFmpegError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # of a file written meanwhile
            raise
        raise StorageError(f"{name} is not a readable video: {error.strerror}") from error
    except (ZeroDivisionError, ValidationError) as error:  # a rate of 0/0, a width of 0
        raise StorageError(f"{name} is not a readable video: its header is damaged") from error


def open_input(source: str | BinaryIO, options: dict[str, str]) -> "InputContainer":
    """Open a file to read it, its tags in whatever encoding.

    PyAV replaces invalid UTF-8 in tags if asked to; from version 19 on it always does.
    """
    import av

    is_told = int(av.__version__.partition(".")[0]) < 19
    how: dict[str, Any] = {"metadata_errors": "replace"} if is_told else {}
    return cast("InputContainer", av.open(source, "r", options=options, **how))


def open_new_mp4(path: Path) -> "OutputContainer":
    """Open a new MP4 that starts at once when it is played from afar (faststart)."""
    import av

    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def add_copy(container: "OutputContainer", stream: Any) -> Any:
    """Return a new stream like one of another file, whose packets can be copied to it.

    Raises:
        StorageError: no file of this kind holds its codec.
    """
    try:
        return container.add_stream_from_template(stream)
    except ValueError as error:
        raise StorageError(f"the video cannot be copied: {error}") from error
