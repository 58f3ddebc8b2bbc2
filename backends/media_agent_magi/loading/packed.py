"""Shards that are packed with zstd, as some checkpoints are released."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from media_agent_magi.generating.family import WeightsError


@contextmanager
def open_packed(path: Path) -> Iterator[IO[bytes]]:
    """Open what a packed file holds, for reading from its start.

    Raises:
        WeightsError: zstandard is missing, or the file is damaged or cut off.
    """
    try:
        import zstandard
    except ImportError as error:
        raise WeightsError(f"{path.name} is packed, and zstandard is not installed") from error
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            yield reader
    except zstandard.ZstdError as error:
        raise WeightsError(f"{path.name} is damaged or cut off: {error}") from error


def unpack(path: Path) -> Path:
    """Unpack a shard beside itself, once, and return it; other files are returned as they are.

    Raises:
        WeightsError: It is damaged, or there is no room for it.
    """
    if path.suffix != ".zst":
        return path
    target = path.with_suffix("")
    if target.is_file():
        return target
    part = target.with_name(f"{target.name}.part")
    try:
        with open_packed(path) as reader, part.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 2**22)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WeightsError(
            f"cannot unpack {path} beside itself: {error.strerror}; unpack it with: zstd -d"
        ) from error
    except WeightsError:
        part.unlink(missing_ok=True)
        raise
    return target
