"""The turns of jobs in dbos: the client that queues them, and the process that runs them.

Nothing else here knows dbos. It is one per process, so a process is one worker.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from media_agent.cluster.turns import AGAIN, MARK, VERSION, Stage, Turn, name_turn, parse_turn
from media_agent.config.jobs_section import QueueSection
from media_agent.distribution import install_hint
from media_agent.errors import ConfigurationError, StorageError
from media_agent.ledger.store.address import Address

if TYPE_CHECKING:
    from dbos import DBOSClient

Work = Callable[[str, bool], Awaitable[str]]
"""Does a turn of a job, which may have ended and is to be resumed; returns in a word what came of
it."""

_APP, _WORKFLOW, _STEP = "media-agent", "video_job", "work"
_STAGES = {"ENQUEUED": Stage.QUEUED, "DELAYED": Stage.QUEUED, "PENDING": Stage.RUNNING}
_LOOK_SECONDS = 0.2  # between two looks into a queue
_MINUTE = 60.0
_LOGGER = logging.getLogger(__name__)


def find_system_url(ledger: SecretStr | None, data_dir: Path) -> SecretStr:
    """Return where dbos keeps its tables: beside those of the ledger, as SQLAlchemy writes it.

    Raises:
        ConfigurationError: the ledger is none of Postgres, or names no database, without which
            dbos would make one of its own.
    """
    if ledger is None:
        return SecretStr(f"sqlite:///{data_dir / 'dbos.sqlite'}")
    from psycopg.conninfo import conninfo_to_dict

    from media_agent.ledger.store.postgres_connections import NETWORK

    address = Address.parse(ledger)
    parts = conninfo_to_dict(f"{NETWORK} {address.conninfo}")  # which may say otherwise
    options = {name: str(value) for name, value in parts.items()}
    user, password = (quote(options.pop(name, ""), safe="") for name in ("user", "password"))
    database = quote(options.pop("dbname", ""), safe="")
    if not database:
        raise ConfigurationError(
            f'runner = "dbos" needs the name of the database in the setting ledger: {address.name} '
            "has none",
            hint="postgresql://HOST/DATABASE, or postgresql:///DATABASE?service=SERVICE",
        )
    hosts = options.get("host", "").count(",") + 1
    if (port := options.get("port")) is not None and "," not in port:
        options["port"] = ",".join([port] * hosts)  # libpq takes one for all hosts
    login = f"{user}{':' if password else ''}{password}{'@' if user or password else ''}"
    return SecretStr(f"postgresql+psycopg://{login}/{database}?{urlencode(options)}")


def check_installed() -> None:
    """Check that dbos is there.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        import dbos  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            'runner = "dbos" needs the package dbos', hint=install_hint("cluster")
        ) from error


class DbosQueue:
    """Queues turns, from any process; connects at first use."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._opening = asyncio.Lock()
        self._client: DBOSClient | None = None

    async def add(
        self, job_id: str, number: int, queue: str, *, priority: int = AGAIN, resumes: bool = False
    ) -> None:
        """Queue a turn, unless there is one of this number."""
        client = await self._open()
        with _errors():
            await client.enqueue_async(
                {
                    "queue_name": queue,
                    "workflow_name": _WORKFLOW,
                    "workflow_id": name_turn(job_id, number),
                    "app_version": str(VERSION),
                    "priority": priority,
                },
                job_id,
                resumes,
            )

    async def list_open(self) -> Sequence[Turn]:
        """Return the turns that are queued or running."""
        return await self._list(status=list(_STAGES))

    async def list_of(self, *job_ids: str) -> Sequence[Turn]:
        """Return the turns of these jobs, those of each oldest first."""
        if not job_ids:
            return ()
        found = await self._list(workflow_id_prefix=[f"{each}{MARK}" for each in job_ids])
        named = set(job_ids)
        of_them = (turn for turn in found if turn.job_id in named)
        return sorted(of_them, key=lambda turn: (turn.job_id, turn.number))

    async def cancel(self, turns: Sequence[Turn]) -> None:
        """End turns that are queued."""
        if turns:
            client = await self._open()
            with _errors():
                await client.cancel_workflows_async([turn.name for turn in turns])

    async def requeue(self, turns: Sequence[Turn]) -> None:
        """Let turns whose worker is gone be run by another one."""
        client = await self._open()
        for queue in sorted({turn.queue for turn in turns}):
            names = [turn.name for turn in turns if turn.queue == queue]
            with _errors():
                await client.resume_workflows_async(names, queue_name=queue)

    async def aclose(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.destroy)

    async def _list(self, **chosen: Any) -> list[Turn]:
        client = await self._open()
        with _errors():
            found = await client.list_workflows_async(
                name=_WORKFLOW, load_input=False, load_output=False, **chosen
            )
        turns = map(_read_turn, found)
        return [turn for turn in turns if turn is not None]

    async def _open(self) -> "DBOSClient":
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_connect, self._url)
            return self._client


class DbosWorker:
    """Runs the turns of some queues in this process, in the event loop that starts it."""

    def __init__(self, url: SecretStr, name: str, queues: Mapping[str, QueueSection]) -> None:
        """Begin; `name` is that of the owner of jobs that this process is."""
        self._url = url
        self._name = name
        self._queues = queues

    async def start(self, work: Work) -> None:
        """Take turns from now on.

        Raises:
            StorageError: the database cannot be reached.
        """
        from dbos import DBOS, DBOSPortableJSONSerializer

        @DBOS.step(name=_STEP)
        async def step(job_id: str, resumes: bool) -> str:
            return await work(job_id, resumes)

        @DBOS.workflow(name=_WORKFLOW)
        async def video_job(job_id: str, resumes: bool) -> str:
            return await step(job_id, resumes)

        with _errors():
            DBOS(
                config={
                    "name": _APP,
                    "system_database_url": self._url.get_secret_value(),
                    "application_version": str(VERSION),
                    "executor_id": self._name,
                    "serializer": DBOSPortableJSONSerializer(),
                    "log_level": "ERROR",
                }
            )
            DBOS.listen_queues([*self._queues])
            DBOS.launch()
            for name, limits in self._queues.items():
                each = limits.starts_per_minute
                await DBOS.register_queue_async(
                    name,
                    worker_concurrency=limits.concurrent_per_worker,
                    global_concurrency=limits.concurrent,
                    limiter=None if each is None else {"limit": each, "period": _MINUTE},
                    polling_interval_sec=_LOOK_SECONDS,
                    on_conflict="always_update",
                )

    async def stop(self, seconds: float) -> None:
        """Take no more turns, and wait so long for those that run here."""
        from dbos import DBOS

        wait = max(1, int(seconds))
        destroy = partial(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=wait)
        await asyncio.to_thread(destroy)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor())  # dbos had put its own there, and ended it


def _connect(url: SecretStr) -> "DBOSClient":
    check_installed()
    from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

    logging.getLogger("dbos").setLevel(logging.ERROR)
    with _errors():
        DBOS.migrate(url.get_secret_value())  # there may have been no worker yet
        return DBOSClient(
            system_database_url=url.get_secret_value(),
            serializer=DBOSPortableJSONSerializer(),
            application_name=_APP,
            retry_connection_errors=False,
        )


def _read_turn(found: Any) -> Turn | None:
    """Return a workflow as a turn; None: it is none of ours."""
    named = parse_turn(found.workflow_id)
    version = found.app_version or ""
    if named is None or not version.isdecimal():
        return None
    return Turn(
        job_id=named[0],
        number=named[1],
        stage=_STAGES.get(found.status, Stage.ENDED),
        queue=found.queue_name or "",
        version=int(version),
        worker=found.executor_id,
        ended_at=None if found.completed_at is None else found.completed_at / 1000,
    )


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn what the database raises into one clear error, without an address or a password."""
    try:
        yield
    except Exception as error:
        _LOGGER.debug("the queue of jobs is out of reach", exc_info=True)
        raise StorageError(
            f"the queue of jobs cannot be used: {type(error).__name__}",
            hint="check that the database of the setting ledger answers",
        ) from error
