"""On which machine the files of a job lie, where workers made them."""

import socket
from collections.abc import Sequence

from media_agent.cluster.engine import DbosQueue, check_installed, find_system_url
from media_agent.cluster.turns import Turn
from media_agent.config.settings import Settings
from media_agent.errors import MediaAgentError
from media_agent.ledger.owner import Owner


async def find_machine(job_id: str, settings: Settings) -> str | None:
    """Return the other machine whose worker had a job last; None: it was none, or nobody knows."""
    try:
        check_installed()
        queue = DbosQueue(find_system_url(settings.ledger, settings.data_dir))
        try:
            turns = await queue.list_of(job_id)
        finally:
            await queue.aclose()
    except MediaAgentError:
        return None
    machine = _last_machine(turns)
    return None if machine == socket.gethostname() else machine


def _last_machine(turns: Sequence[Turn]) -> str | None:
    workers = [turn.worker for turn in turns if turn.worker is not None]
    try:
        return Owner.parse(workers[-1]).host.partition("/")[0] if workers else None
    except (ValueError, TypeError):
        return None
