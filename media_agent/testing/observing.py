"""Watches a piece of work to its end."""

import asyncio
from contextlib import aclosing

from media_agent.backend import VideoBackend
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import OperationRef


async def events_of(
    backend: VideoBackend, ref: OperationRef, *, deadline: float = 60.0
) -> list[BackendEvent]:
    """Return all events of a piece of work, of which the last says how it ended.

    Raises:
        TimeoutError: it did not end within so many seconds.
    """
    async with asyncio.timeout(deadline), aclosing(backend.observe(ref)) as events:
        return [event async for event in events]
