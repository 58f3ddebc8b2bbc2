"""The command that works on the jobs of a cluster."""

import os
import threading
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag, Number, read_number
from media_agent.cli.screen import write_stderr

if TYPE_CHECKING:
    from media_agent.client import VideoClient

_DRAIN = "60"
_LONGEST_DRAIN = 86400.0  # seconds
_CLOSING_SECONDS = 15.0  # once no job is left here


def worker(
    *,
    queues: Annotated[str, Parameter(metavar="NAME,NAME")],
    gpus: Annotated[str | None, Parameter(metavar="NUMBER,NUMBER")] = None,
    drain_seconds: Number = _DRAIN,
    log: Flag = False,
) -> int:
    """Work on jobs that clients and servers with runner = "dbos" have queued, until SIGTERM.

    Args:
        queues: Whose jobs to make: of backends, or BACKEND/MODEL where it has a queue of its own.
        gpus: Start a process for each of these GPUs, which sees no other.
        drain_seconds: How long jobs may take to end after SIGTERM; others continue what has not.
        log: Print a line for what happens.
    """
    import asyncio
    import logging

    seconds = _read_drain(drain_seconds)
    names = _split("--queues", queues)
    logging.basicConfig(
        level=logging.INFO if log else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if gpus is not None:
        from media_agent.cluster.processes import check_gpus, run_per_gpu

        numbers = _split("--gpus", gpus)
        check_gpus(numbers)
        words = ["--queues", ",".join(names), "--drain-seconds", str(seconds)]
        return run_per_gpu(numbers, [*words, *(["--log"] if log else [])], write_stderr)
    return asyncio.run(_work(names, seconds))


async def _work(names: tuple[str, ...], seconds: float) -> int:
    import asyncio
    import signal

    from media_agent.client import VideoClient
    from media_agent.cluster.worker import LEDGER_SECONDS, Drain
    from media_agent.config.settings import load_settings
    from media_agent.ledger.ledger import Ledger
    from media_agent.ledger.store.database import BUSY_SECONDS

    settings = load_settings()
    waits = BUSY_SECONDS if settings.ledger is None else LEDGER_SECONDS
    ledger = Ledger(settings.ledger_path, url=settings.ledger, busy_seconds=waits)
    here = settings.jobs.model_copy(update={"runner": "inline"})
    drain = Drain(asyncio.Event(), seconds)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain.asked.set)
    settings = settings.model_copy(update={"jobs": here})
    async with VideoClient(settings=settings, store=ledger) as client:
        await _check_services(client, names)
        await client.work_queues(names, drain, say=write_stderr)
        _end_surely(_CLOSING_SECONDS)
    return 0


def _end_surely(seconds: float) -> None:
    """End this process in so many seconds at the latest.

    It waits for its threads, and those of dbos wait for a database that is silent as long as it is.
    """
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


async def _check_services(client: "VideoClient", names: tuple[str, ...]) -> None:
    """Check that the services can be used from here: else each of their jobs would fail.

    Raises:
        ConfigurationError: one cannot; what it lacks.
    """
    import contextlib

    from media_agent.errors import ConfigurationError, MediaAgentError

    for name in names:
        model = None
        with contextlib.suppress(MediaAgentError):  # a queue that is none is refused later
            model = await client.capabilities(name)
        if model is not None and not model.local and model.missing is not None:
            raise ConfigurationError(
                f"no job of {name} can be made here: it needs {model.missing}",
                hint="or leave it out of --queues",
            )


def _read_drain(text: str | None) -> float:
    """Return how long jobs may take to end.

    Raises:
        InvalidRequestError: nobody can wait for that long.
    """
    from media_agent.errors import InvalidRequestError

    seconds = read_number("drain-seconds", text) or 0.0
    if not 0 <= seconds <= _LONGEST_DRAIN:
        raise InvalidRequestError(
            f"--drain-seconds is {seconds:g}; it is 0 to {_LONGEST_DRAIN:g}",
            hint="what is not done by then, other workers continue",
        )
    return seconds


def _split(flag: str, text: str) -> tuple[str, ...]:
    """Return the names in a list with commas.

    Raises:
        InvalidRequestError: there is none, or an empty one.
    """
    from media_agent.errors import InvalidRequestError

    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise InvalidRequestError(f"{flag} {text!r} has an empty name", hint="as in fal,magi")
    return tuple(dict.fromkeys(names))
