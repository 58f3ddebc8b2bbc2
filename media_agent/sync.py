"""The client for programs without an event loop."""

import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from media_agent.client import VideoClient
from media_agent.config.keys import FoundKey
from media_agent.config.settings import Settings
from media_agent.loop_thread import LoopThread

P = ParamSpec("P")
R = TypeVar("R")


def _blocking(
    method: Callable[Concatenate[VideoClient, P], Coroutine[Any, Any, R]],
) -> "Callable[Concatenate[BlockingVideoClient, P], R]":
    """Return a method of the client as one that waits; parameters and docstring stay its own."""

    @functools.wraps(method)
    def call(self: "BlockingVideoClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._loop.run(method(self._client, *args, **kwargs))

    return call


class BlockingVideoClient:
    """`VideoClient` with blocking calls, which several threads may make at once.

    The work runs in a thread of its own: it continues between calls. `on_event` is called there,
    and cannot call the client itself. Ctrl-C stops the work that is waited for, cleanly.
    """

    def __init__(
        self, *, settings: Settings | None = None, client: VideoClient | None = None
    ) -> None:
        self._client = VideoClient(settings=settings) if client is None else client
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all work here and close the backends; what `start` began at a service continues."""
        try:
            self._loop.run(self._client.aclose())
        finally:
            self._loop.close()

    def new_job_id(self) -> str:
        """Return an id that no job has, sorted by time."""
        return self._client.new_job_id()

    def is_running(self, job_id: str) -> bool:
        """Return whether a process works on a job, this one or another."""
        return self._client.is_running(job_id)

    def count_working(self) -> int:
        """Return how many jobs this client works on."""
        return self._client.count_working()

    def find_key(self, backend: str) -> FoundKey:
        """Return the key of a backend, and where it is from; it is hidden when shown.

        Raises:
            ConfigurationError: a file that has it cannot be read.
        """
        return self._client.find_key(backend)

    def knows(self, idempotency_key: str | None) -> bool:
        """Return whether a job has this key; a key is free again when all was in vain."""
        return self._client.knows(idempotency_key)

    capabilities = _blocking(VideoClient.capabilities)
    plan = _blocking(VideoClient.plan)
    plans = _blocking(VideoClient.plans)
    plan_all = _blocking(VideoClient.plan_all)
    plan_branch = _blocking(VideoClient.plan_branch)
    generate = _blocking(VideoClient.generate)
    start = _blocking(VideoClient.start)
    branch = _blocking(VideoClient.branch)
    plan_extension = _blocking(VideoClient.plan_extension)
    extend = _blocking(VideoClient.extend)
    find_extension_model = _blocking(VideoClient.find_extension_model)
    resume = _blocking(VideoClient.resume)
    begin_resume = _blocking(VideoClient.begin_resume)
    reconcile = _blocking(VideoClient.reconcile)
    get = _blocking(VideoClient.get)
    adopt = _blocking(VideoClient.adopt)
    adopt_left = _blocking(VideoClient.adopt_left)
    orphans = _blocking(VideoClient.orphans)
    list = _blocking(VideoClient.list)
    look_now = _blocking(VideoClient.look_now)
    models = _blocking(VideoClient.models)
    find = _blocking(VideoClient.find)
    remove = _blocking(VideoClient.remove)
    events = _blocking(VideoClient.events)
    cancel = _blocking(VideoClient.cancel)
    steer = _blocking(VideoClient.steer)
    finish = _blocking(VideoClient.finish)
