"""The base of backends that compute here: their author writes `generate`, all else is done once.

`generate` runs in a worker thread and yields chunks of frames. Each chunk is on disk and in the
growing film before it is announced, so that a kill loses at most the chunk being made.
"""

from abc import abstractmethod
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

from media_agent.generation import Chunk, GenerationContext, Operation, state_name
from media_agent.options import check_settings
from media_agent.steering import Steering
from media_agent.threaded import ThreadedBackend
from media_agent.worker import Worker
from media_agent_schemas.request import VideoRequest

__all__ = [
    "Chunk",
    "GenerationContext",
    "LocalBackend",
    "Steering",
    "check_settings",
    "lacking",
    "state_name",
]


class LocalBackend(ThreadedBackend):
    """Meets the `VideoBackend` protocol for models that run in this process."""

    @abstractmethod
    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the chunks of a negotiated request in order, from `context.resume` on if given.

        Runs in a worker thread. Too many frames in the last chunk are cut off. Whatever it raises
        ends the work as failed; the chunks made so far are kept.
        """

    def work(self, operation: Operation) -> None:
        """Make the film of one operation, chunk by chunk."""
        Worker(operation, self, self._clock).run()


@cache
def lacking(extra: str, *modules: str) -> str | None:
    """Return which modules this machine lacks and how to get them, for `Capabilities.missing`."""
    absent = ", ".join(name for name in modules if find_spec(name) is None)
    return f"{absent}: pip install 'media-agent[{extra}]'" if absent else None
