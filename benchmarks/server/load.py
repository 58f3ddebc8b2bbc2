"""Asks a server for something again and again, several at once, at little cost of its own."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_PIECE = 2**18


@dataclass(frozen=True)
class Target:
    """A server, and what every request to it has."""

    port: int
    key: str | None = None


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """A connection that is used for one request after another."""

    def __init__(
        self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._target = target
        self.reader = reader
        self._writer = writer

    async def send(self, call: Call) -> tuple[int, bytes]:
        """Send a request; return the status and the head of the reply."""
        content = b"" if call.body is None else json.dumps(call.body).encode()
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(content)), **call.headers}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if self._target.key is not None:
            headers["Authorization"] = f"Bearer {self._target.key}"
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join((f"{call.method} {call.path} HTTP/1.1", *lines, "", ""))
        self._writer.write(head.encode() + content)
        answered = await self.reader.readuntil(b"\r\n\r\n")
        found = _STATUS.match(answered)
        assert found is not None, answered[:80]
        return int(found[1]), answered

    async def ask(self, call: Call) -> tuple[int, bytes]:
        """Send a request and return the status and the body of the reply."""
        status, head = await self.send(call)
        return status, b"".join([piece async for piece in self.pieces(head)])

    async def pieces(self, head: bytes) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        length = _LENGTH.search(head)
        if length is None:
            while size := int(await self.reader.readline(), 16):
                yield (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
            return
        left = int(length[1])
        while left and (piece := await self.reader.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Connection]:
    """Open a connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=2**20)
    try:
        yield Connection(target, reader, writer)
    finally:
        writer.close()


async def ask(target: Target, call: Call) -> tuple[int, bytes]:
    """Send one request over a connection of its own; see `Connection.ask`."""
    async with connected(target) as connection:
        return await connection.ask(call)


async def create(target: Target, model: str, prompt: str = "a fox in snow") -> str:
    """Ask for a video and return its id."""
    body = {"model": model, "prompt": prompt, "seconds": "4"}
    status, content = await ask(target, Call("POST", "/v1/videos", body))
    assert status in (200, 201), content
    return str(json.loads(content)["id"])


@dataclass(frozen=True)
class Load:
    """What many requests took."""

    seconds: float
    latencies: tuple[float, ...]
    bodies: tuple[bytes, ...]

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return len(self.latencies) / self.seconds


async def load(target: Target, calls: Callable[[int], Call], *, count: int, in_flight: int) -> Load:
    """Send so many requests, so many of them at once; all must be answered well."""
    numbers = iter(range(count))
    latencies: list[float] = []
    bodies: list[bytes] = []
    begin = time.perf_counter()
    workers = (_work(target, calls, numbers, latencies, bodies) for _ in range(in_flight))
    await asyncio.gather(*workers)
    return Load(time.perf_counter() - begin, tuple(latencies), tuple(bodies))


async def _work(
    target: Target,
    calls: Callable[[int], Call],
    numbers: Iterator[int],
    latencies: list[float],
    bodies: list[bytes],
) -> None:
    async with connected(target) as connection:
        for number in numbers:
            begin = time.perf_counter()
            status, body = await connection.ask(calls(number))
            latencies.append(time.perf_counter() - begin)
            assert status in (200, 201), body
            bodies.append(body)
