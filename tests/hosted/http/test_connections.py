"""Which connections are kept for the next request, and what else is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from media_agent_hosted.http.auth import key_header
from media_agent_hosted.http.client import FilePart, HttpApi

pytestmark = pytest.mark.anyio


class Service:
    """Answers every request on a connection, and keeps what came over each."""

    def __init__(self) -> None:
        self.connections: list[list[bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        self.connections.append(requests)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(httpx.Headers(_headers(head)).get("content-length", 0))
                requests.append(head + await reader.readexactly(length))
                lines = ("HTTP/1.1 200 OK", "Set-Cookie: a=b", "Content-Length: 2", "", "{}")
                writer.write("\r\n".join(lines).encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _headers(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:-2]
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[HttpApi]:
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    api = HttpApi(f"http://127.0.0.1:{port}", auth=key_header(SecretStr("key"), scheme="Key"))
    async with server:
        yield api
        await api.aclose()


async def test_requests_that_may_be_repeated_share_a_connection() -> None:
    service = Service()

    async with running(service) as api:
        for _ in range(3):
            await api.send("GET", "/look")

    assert [len(requests) for requests in service.connections] == [3]


async def test_a_paid_request_gets_a_connection_of_its_own() -> None:
    service = Service()

    async with running(service) as api:
        await api.send("GET", "/look")
        await api.send("POST", "/videos", json={}, paid=True)
        await api.send("POST", "/videos", json={}, paid=True)
        await api.send("GET", "/look")

    methods = [[each[:4] for each in requests] for requests in service.connections]
    assert methods == [[b"GET ", b"GET "], [b"POST"], [b"POST"]]


async def test_a_cookie_is_not_sent_back() -> None:
    service = Service()

    async with running(service) as api:
        await api.send("GET", "/look")
        await api.send("GET", "/look")

    assert b"cookie" not in b"".join(service.connections[0]).lower()


async def test_a_form_goes_out_in_one_piece() -> None:
    fields: dict[str, FilePart] = {f"field{number}": (None, b"x", None) for number in range(20)}
    pieces: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        pieces.append(request)
        return httpx.Response(200, json={})

    api = HttpApi("https://api.example.com", transport=httpx.MockTransport(answer))
    await api.send("POST", "/videos", files=fields, paid=True)

    assert isinstance(pieces[0].stream, httpx.ByteStream)
    assert pieces[0].headers["content-length"] == str(len(pieces[0].content))
