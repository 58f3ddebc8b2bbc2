"""What is kept of the body of a reply while it comes: a bounded part of it, in memory."""

from collections.abc import Mapping
from pathlib import Path

from media_agent_hosted.http.shallow import Shallow
from media_agent_hosted.http.unpack import Unpacker

LARGEST_REPLY = 32 * 2**20
"""Bytes of an API reply, which is held in memory."""


class BodyReader:
    """Keeps a body, without videos where it is unpacked, without depths where it has levels."""

    def __init__(self, *, unpack_to: Path | None = None, most_levels: int | None = None) -> None:
        """Keep it as it comes; `unpack_to` is where videos in it go, see `Unpacker`.

        What is nested deeper than `most_levels` is dropped, see `Shallow`.
        """
        self.content = bytearray()
        self._unpacker = None if unpack_to is None else Unpacker(unpack_to)
        self._shallow = None if most_levels is None else Shallow(most_levels)

    @property
    def is_partial(self) -> bool:
        """Whether what is kept is only a part, so that the whole may be of any length."""
        return self._unpacker is not None or self._shallow is not None

    @property
    def problem(self) -> str | None:
        """Why it is not read to its end; None: nothing is wrong."""
        if len(self.content) <= LARGEST_REPLY:
            return None
        return f"more than {LARGEST_REPLY} bytes where a short answer was due"

    @property
    def files(self) -> Mapping[str, Path]:
        """The videos that came within it, by the marks that stand for them."""
        return {} if self._unpacker is None else self._unpacker.files

    def take(self, piece: bytes) -> bool:
        """Take a piece; False: no more is wanted.

        Raises:
            ValueError: a video in it is none.
        """
        if self._shallow is not None:
            piece = self._shallow.feed(piece)
        self.content += piece if self._unpacker is None else self._unpacker.feed(piece)
        return self.problem is None

    def close(self) -> None:
        """Remove what came of a video that did not come whole."""
        if self._unpacker is not None:
            self._unpacker.abort()
