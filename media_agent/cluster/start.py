"""Puts the parts of a cluster together, for whoever queues jobs and for whoever works on them."""

from collections.abc import Awaitable, Callable, Sequence

from media_agent.backend.protocol import VideoBackend
from media_agent.cluster.engine import DbosQueue, DbosWorker, check_installed, find_system_url
from media_agent.cluster.enqueuing import EnqueuingRunner
from media_agent.cluster.worker import Drain, QueueWorker, Say, find_limits
from media_agent.config.settings import Settings
from media_agent.jobs.context import JobContext
from media_agent.jobs.runner import JobRunner


def build_runner(context: JobContext, settings: Settings) -> EnqueuingRunner:
    """Return what hands jobs to workers.

    Raises:
        ConfigurationError: dbos is not installed, or as `find_system_url`.
    """
    check_installed()
    url = find_system_url(settings.ledger, settings.data_dir)
    return EnqueuingRunner(context, DbosQueue(url), settings.backends)


async def work_queues(
    queues: Sequence[str],
    drain: Drain,
    context: JobContext,
    runner: JobRunner,
    settings: Settings,
    open_backend: Callable[[str], Awaitable[VideoBackend]],
    *,
    say: Say,
) -> None:
    """Serve queues in this process until it is asked to end.

    Raises:
        ConfigurationError: dbos is not installed.
        MediaAgentError: as `find_limits` and `QueueWorker.run`.
    """
    check_installed()
    if context.files is not None:
        context.files.check()
    limits = await find_limits(tuple(queues), settings.backends, open_backend)
    url = find_system_url(settings.ledger, settings.data_dir)
    queue = DbosQueue(url)
    try:
        engine = DbosWorker(url, context.store.owners.name, limits)
        worker = QueueWorker(context, runner, queue, engine, settings.backends, say=say)
        await worker.run(drain)
    finally:
        await queue.aclose()
