"""Watches a piece of work to its end, and its video."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.backend.protocol import VideoBackend
from media_agent_schemas.events import BackendEvent, ChunkReady, TerminalEvent
from media_agent_schemas.jobs import OperationRef, ResumeToken, VideoJob

if TYPE_CHECKING:
    from media_agent.video.codec import Frames


async def events_of(
    backend: VideoBackend, ref: OperationRef, *, deadline: float = 60.0
) -> list[BackendEvent]:
    """Return all events of a piece of work, of which the last says how it ended.

    Raises:
        TimeoutError: it did not end within so many seconds.
    """
    async with asyncio.timeout(deadline), aclosing(backend.observe(ref)) as events:
        return [event async for event in events]


def frames_of(made: TerminalEvent | VideoJob) -> "Frames":
    """Return the frames of the video, uint8 (T, H, W, 3)."""
    from media_agent.video.codec import read_frames

    path = made.artifacts[0].path
    assert path is not None, "the video is not on this machine"
    return read_frames(Path(path))


def count_kept_frames(events: Iterable[BackendEvent], token: ResumeToken) -> int:
    """Return how many frames are there when a video is resumed: they are not made again."""
    chunks = (event for event in events if isinstance(event, ChunkReady))
    return sum(chunk.frames for chunk in chunks if chunk.index < token.next_chunk)
