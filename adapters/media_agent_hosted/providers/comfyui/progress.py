"""How far work is, as the websocket of a ComfyUI server tells it while a workflow runs.

It only adds to what polls say: without it, and without the extra `comfyui`, work is seen through
all the same.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import urlsplit, urlunsplit

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import number, text

Sleep = Callable[[float], Awaitable[None]]

_TRIES = 3  # connections in a row that tell nothing, before no more is made
_PAUSE = 2.0  # seconds between two connections
_LARGEST_MESSAGE = 2**24  # bytes; previews come as well
_CLOSING = 0.05  # seconds in which a server may say goodbye
_SILENT = logging.Logger("media_agent_hosted.comfyui")  # it would log the header with the key
_SILENT.disabled = True


@dataclass
class Progress:
    """What was told of one piece of work, whose nodes are known by their titles."""

    work: str
    titles: Mapping[str, str]
    done: set[str] = field(default_factory=set)
    node: str | None = None
    step: float = 0.0
    steps: float = 0.0
    _highest: float = 0.0

    def read(self, message: JsonValue) -> None:
        """Take in a message of the server; one about other work is left alone."""
        said = message if isinstance(message, dict) else {}
        data = said.get("data")
        if not isinstance(data, dict) or data.get("prompt_id") != self.work:
            return
        match said.get("type"):
            case "execution_cached":
                nodes = data.get("nodes")
                self.done |= set(map(str, nodes)) if isinstance(nodes, list) else set()
            case "executing":
                self._start(text(data.get("node")))
            case "progress":
                self._start(text(data.get("node")) or self.node)
                self.step = number(data.get("value")) or 0.0
                self.steps = number(data.get("max")) or 0.0

    @property
    def fraction(self) -> float | None:
        """How far the whole workflow is, which never goes back; None: nothing was told."""
        if self.node is None or not self.titles:
            return None
        part = min(1.0, self.step / self.steps) if self.steps > 0 else 0.0
        known = self.done & set(self.titles)
        self._highest = max(self._highest, min(1.0, (len(known) + part) / len(self.titles)))
        return self._highest

    @property
    def message(self) -> str | None:
        """What runs now, in words; None: nothing was told."""
        if self.node is None:
            return None
        place = min(len(self.done & set(self.titles)) + 1, len(self.titles))
        said = f"node {place} of {len(self.titles)}: {self.titles.get(self.node, self.node)}"
        return f"{said}, step {self.step:g} of {self.steps:g}" if self.steps > 0 else said

    def _start(self, node: str | None) -> None:
        if node == self.node:
            return
        if self.node is not None:
            self.done.add(self.node)
        self.node, self.step, self.steps = node or self.node, 0.0, 0.0


@contextlib.asynccontextmanager
async def listening(
    progress: Progress, address: str, headers: Mapping[str, str], sleep: Sleep
) -> AsyncIterator[None]:
    """Take in what the server tells a client about work, within the context.

    `address` is that of the websocket, as http or https, with the name of the client.
    """
    task = asyncio.create_task(_listen(progress, address, headers, sleep))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(
    progress: Progress, address: str, headers: Mapping[str, str], sleep: Sleep
) -> None:
    """Connect, and again where the connection is lost; give up where it tells nothing."""
    failures = 0
    while failures < _TRIES and find_spec("websockets") is not None:
        failures += 1
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async for message in _messages(address, headers):
                failures = 0
                progress.read(message)
        await sleep(_PAUSE)


async def _messages(address: str, headers: Mapping[str, str]) -> AsyncIterator[JsonValue]:
    """Yield what the server tells a client; previews are left out.

    Host and port are given, so that no redirect leads the key elsewhere.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    parts = urlsplit(address)
    is_secure = parts.scheme == "https"
    try:
        async with connect(
            urlunsplit(parts._replace(scheme="wss" if is_secure else "ws")),
            host=parts.hostname,
            port=parts.port or (443 if is_secure else 80),
            additional_headers=dict(headers),
            max_size=_LARGEST_MESSAGE,
            close_timeout=_CLOSING,
            proxy=None,
            logger=_SILENT,
        ) as socket:
            async for message in socket:
                if isinstance(message, str):
                    yield json.loads(message)
    except WebSocketException as error:
        raise OSError("the connection is gone") from error
