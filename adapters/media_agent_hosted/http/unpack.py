"""Takes videos out of an answer while it comes: base64 in its JSON goes to files, decoded.

An answer may hold hundreds of megabytes of it. What is kept in memory is the rest, in which a mark
stands for each video.
"""

import contextlib
import re
import secrets
from binascii import a2b_base64
from pathlib import Path
from typing import BinaryIO

from media_agent.video.container import LARGEST_VIDEO

_LEAST = 2**12  # characters of a text that may be a video
_IS_A_VIDEO = re.compile(rb"(?:data:[^,]{0,100},)?(?=AAAA|GkXf)")  # an MP4, a WebM
_SPECIAL = re.compile(rb'["\\]')
_QUOTE, _BACKSLASH, _SLASH = b'"\\/'
_OF_URLS = bytes.maketrans(b"-_", b"+/")
_SPACE = b" \t\r\n"
_BREAKS = b"nrt"  # behind a backslash


class Unpacker:
    """Reads JSON piece by piece, and puts the videos in it beside `path`, the first at it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = f"data:unpacked/{secrets.token_hex(8)}"  # which no provider can know
        self._text: bytearray | None = None  # of the string that is being read; None: outside one
        self._is_escaped = False
        self._file: _Base64File | None = None
        self.files: dict[str, Path] = {}
        """The file of each video, by the mark that stands for it."""

    def feed(self, piece: bytes) -> bytes:
        """Return what is kept of a piece.

        Raises:
            ValueError: a video is not base64, or is too large.
        """
        kept, place = bytearray(), 0
        while place < len(piece):
            if self._text is None:
                end = piece.find(_QUOTE, place) + 1 or len(piece)
                kept += piece[place:end]
                if piece[end - 1] == _QUOTE:
                    self._text = bytearray()
                place = end
            elif self._is_escaped:
                self._take_escaped(piece[place])
                place += 1
            else:
                end = self._find_special(piece, place)
                self._take(piece[place:end])
                place = end + 1
                letter = piece[end] if end < len(piece) else None
                if letter == _QUOTE:
                    kept += self._close()
                self._is_escaped = letter == _BACKSLASH
        return bytes(kept)

    def abort(self) -> None:
        """Remove what was written of a video that did not come whole."""
        if self._file is not None:
            self._file.remove()
            self._file = None

    def _find_special(self, piece: bytes, place: int) -> int:
        """Return where the next quote or backslash is; the end of the piece: there is none."""
        if self._file is None:
            found = _SPECIAL.search(piece, place)
            return len(piece) if found is None else found.start()
        stop = piece.find(_BACKSLASH, place)  # in a video both are rare, and this is faster
        stop = len(piece) if stop < 0 else stop
        quote = piece.find(_QUOTE, place, stop)
        return stop if quote < 0 else quote

    def _take(self, characters: bytes) -> None:
        """Take what is in a string; a long one that begins like a video is one."""
        assert self._text is not None
        if self._file is not None:
            self._file.write(characters)
            return
        self._text += characters
        begin = _IS_A_VIDEO.match(self._text) if len(self._text) >= _LEAST else None
        if begin is not None:
            suffix = f"-{len(self.files) + 1}" if self.files else ""
            path = self._path.with_name(f"{self._path.stem}{suffix}{self._path.suffix}")
            self._file = _Base64File(path)
            self._file.write(_without_escapes(bytes(self._text[begin.end() :])))
            self._text.clear()

    def _take_escaped(self, letter: int) -> None:
        assert self._text is not None
        self._is_escaped = False
        if self._file is None:
            self._text += bytes((_BACKSLASH, letter))
        elif letter == _SLASH:
            self._file.write(b"/")
        elif letter not in _BREAKS:
            raise ValueError("a video with an escape that base64 has not")

    def _close(self) -> bytes:
        """Return what is kept of a string, with the quote at its end."""
        text, self._text = self._text, None
        assert text is not None
        if self._file is None:
            return bytes(text) + b'"'
        mark = f"{self._mark};{len(self.files)},"
        self.files[mark] = self._file.close()
        self._file = None
        return mark.encode() + b'"'


class _Base64File:
    """A file that is written as base64, in pieces of any length."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._file: BinaryIO = self._part.open("wb")
        self._rest = b""  # less than four characters

    def write(self, characters: bytes) -> None:
        """Decode and write.

        Raises:
            ValueError: it is not base64, or more than a video may have.
        """
        data = self._rest + characters.translate(_OF_URLS, _SPACE)
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        self._file.write(a2b_base64(data[:whole], strict_mode=True))
        if self._file.tell() > LARGEST_VIDEO:
            raise ValueError(f"a video of more than {LARGEST_VIDEO} bytes")

    def close(self) -> Path:
        """Put the file in its place, and return that.

        Raises:
            ValueError: it is not base64.
        """
        rest = self._rest + b"=" * (-len(self._rest) % 4)
        self._file.write(a2b_base64(rest, strict_mode=True))
        self._file.close()
        return self._part.replace(self._path)

    def remove(self) -> None:
        """Remove what was written."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._part.unlink()


def _without_escapes(text: bytes) -> bytes:
    text = text.replace(b"\\/", b"/")
    for letter in _BREAKS:
        text = text.replace(bytes((_BACKSLASH, letter)), b"")
    return text
