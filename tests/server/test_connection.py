"""A head that has no end, or does not come, ends its connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from media_agent.server.connection import BoundedProtocol

pytestmark = pytest.mark.anyio
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class Hasty(BoundedProtocol):
    head_seconds = 0.1


@contextlib.asynccontextmanager
async def connect(
    protocol: type[BoundedProtocol] = BoundedProtocol,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(PlainTextResponse("hello"), http=protocol, ws="none", lifespan="off")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, ServerState(), {}), "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()


async def test_calls_on_one_connection_are_answered_though_the_body_of_one_is_large() -> None:
    async with connect() as (reader, writer):
        writer.write(GET + b"\r\n")
        assert b"200 OK" in await reader.readuntil(b"hello")
        body = b"x" * 2_000_000
        writer.write(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        assert b"200 OK" in await reader.readuntil(b"hello")
        writer.write(GET + b"\r\n")
        assert b"200 OK" in await reader.readuntil(b"hello")


@pytest.mark.parametrize("line", [b"x-a: b\r\n" * 1000, b"y" * 8000])
async def test_a_head_without_an_end_is_cut_off(line: bytes) -> None:
    async with connect() as (reader, writer):
        writer.write(GET + b"x: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < 20_000_000:
                writer.write(line)
                sent += len(line)
                await writer.drain()
                await asyncio.sleep(0)

        assert sent < 20_000_000


@pytest.mark.parametrize("begun", [b"", GET])
async def test_a_head_that_does_not_come_is_not_waited_for(begun: bytes) -> None:
    async with connect(Hasty) as (reader, writer):
        writer.write(begun)

        assert await reader.read() == b""


async def test_a_call_that_takes_long_is_no_head_that_does() -> None:
    async with connect(Hasty) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
        await asyncio.sleep(0.15)
        writer.write(b"ab")

        assert b"200 OK" in await reader.readuntil(b"hello")


@pytest.mark.parametrize("rest", [b"", b"a"])
async def test_the_rest_of_a_call_that_is_answered_is_not_waited_for_for_ever(rest: bytes) -> None:
    async with connect(Hasty) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"hello")
        writer.write(rest)

        assert await reader.read() == b""
