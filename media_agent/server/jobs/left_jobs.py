"""Jobs that nobody works on any more: of an earlier server, or stopped by a full disk."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from media_agent.client import VideoClient
from media_agent.errors import MediaAgentError
from media_agent.server.host import ClientHost

_LOOK_SECONDS = 15.0
_LONGEST_PAUSE = 120.0  # seconds
_LOGGER = logging.getLogger(__name__)


async def keep_adopting(
    host: ClientHost, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Continue the jobs of callers that nobody works on, until this is cancelled.

    Where one that was taken up is soon left again, the pauses grow.
    """
    before: frozenset[str] = frozenset()
    pause = _LOOK_SECONDS
    while True:
        await sleep(pause)
        left = await _adopt(host)
        pause = min(2 * pause, _LONGEST_PAUSE) if left & before else _LOOK_SECONDS
        before = left


async def _adopt(host: ClientHost) -> frozenset[str]:
    try:
        return frozenset(await host.call(VideoClient.adopt_left))
    except MediaAgentError as error:  # the ledger is locked, or its disk is full
        _LOGGER.warning("jobs that were left cannot be looked for now: %s", error.message)
    except Exception:
        _LOGGER.exception("jobs that were left could not be looked for")
    return frozenset()
