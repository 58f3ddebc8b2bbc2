"""The file of one chunk: what it is, its encoded frames, its audio, and a checksum over them.

The audio lies there as numbers, not encoded: AAC needs what came before, so it is made once, of the
whole video, at the end.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent.errors import StorageError
from media_agent.video.audio import Pcm

_MAGIC = b"media-agent chunk 1"
_LONGEST_LINE = 1000  # bytes of a line of the head


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """What a chunk's file holds."""

    index: int
    start_frame: int
    frames: int
    encoded: bytes
    audio: Pcm | None = None
    """As long as the frames last; None: it is silent."""

    def seal(self) -> bytes:
        """Return the content of its file."""
        facts: dict[str, int] = {
            "index": self.index,
            "start_frame": self.start_frame,
            "frames": self.frames,
        }
        rest = self.encoded
        if self.audio is not None:
            facts |= {"audio_bytes": len(self.audio.data), "audio_rate": self.audio.rate}
            rest += self.audio.data
        content = json.dumps(facts).encode() + b"\n" + rest
        return _MAGIC + b" " + _digest(content) + b"\n" + content


def read_chunk(path: Path, index: int, start_frame: int) -> StoredChunk:
    """Read a chunk.

    Raises:
        StorageError: the file is missing, damaged, or belongs elsewhere in the video.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    first_line, _, rest = content.partition(b"\n")
    if first_line != _MAGIC + b" " + _digest(rest):
        raise StorageError(f"{path} is damaged: its content does not match its checksum")
    facts_line, _, body = rest.partition(b"\n")
    facts: Mapping[str, Any] = json.loads(facts_line)
    if (facts["index"], facts["start_frame"]) != (index, start_frame):
        raise StorageError(f"{path} is chunk {facts['index']}, not {index}")
    end = len(body) - facts.get("audio_bytes", 0)
    audio = Pcm(body[end:], facts["audio_rate"]) if "audio_rate" in facts else None
    return StoredChunk(index, start_frame, facts["frames"], body[:end], audio)


def read_length(path: Path) -> int:
    """Return how many frames a chunk has, from the head of its file.

    Raises:
        StorageError: the file is missing or no chunk.
    """
    try:
        with path.open("rb") as file:
            head = file.readline(_LONGEST_LINE), file.readline(_LONGEST_LINE)
        frames = json.loads(head[1])["frames"]
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{path} is no chunk: {error}") from error
    return int(frames)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
