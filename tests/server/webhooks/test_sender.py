"""One attempt: what is sent, what the answer means, and where nothing is ever sent."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from media_agent.ledger.serving.deliveries import Delivery
from media_agent.server.webhooks.sender import Result, build_body, open_client, send
from media_agent.server.webhooks.signing import is_signed, read_secrets

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRETS = read_secrets(SECRET, "the secret")
URL = "https://shop.example/hook"
DELIVERY = Delivery("shop", "video_1", 7, "video.completed", created_at=1000.9)

pytestmark = pytest.mark.anyio
NOT_PUBLIC = "its address is not public, and only public ones are called"


def mocked(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_what_is_sent_has_the_shape_of_openai_and_is_signed() -> None:
    seen = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    async with mocked(answer) as client:
        attempt = await send(client, URL, DELIVERY, secrets=SECRETS, now=2000.9)

    (request,) = seen
    assert attempt.result is Result.DELIVERED
    assert json.loads(request.content) == {
        "id": "evt_video_1_7",
        "object": "event",
        "created_at": 1000,
        "type": "video.completed",
        "data": {"id": "video_1"},
    }
    assert request.headers["webhook-id"] == "evt_video_1_7"
    assert request.headers["webhook-timestamp"] == "2000"
    assert request.headers["content-type"] == "application/json"
    assert is_signed(request.headers, request.content, SECRETS, now=2000)


async def test_the_client_of_openai_unwraps_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[httpx.Request]()
    monkeypatch.setattr("time.time", lambda: 2000.0)

    async with mocked(lambda request: seen.append(request) or httpx.Response(200)) as client:
        await send(client, URL, DELIVERY, secrets=SECRETS, now=2000)

    with openai.OpenAI(api_key="none", webhook_secret=SECRET) as sdk:
        event = sdk.webhooks.unwrap(seen[0].content, seen[0].headers)
    data: Any = event.data
    assert (event.id, event.type, data.id) == ("evt_video_1_7", "video.completed", "video_1")


@pytest.mark.parametrize(
    ("status", "result", "said"),
    [
        (200, Result.DELIVERED, "HTTP 200"),
        (299, Result.DELIVERED, "HTTP 299"),
        (302, Result.MISSED, "HTTP 302: redirects are not followed"),
        (404, Result.MISSED, "HTTP 404"),
        (410, Result.GONE, "HTTP 410: it wants no more events"),
        (500, Result.MISSED, "HTTP 500"),
    ],
)
async def test_the_status_says_what_became_of_it(status: int, result: Result, said: str) -> None:
    seen = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(status, headers={"Location": "https://other.example/"})

    async with mocked(answer) as client:
        attempt = await send(client, URL, DELIVERY, secrets=SECRETS, now=2000)

    assert (attempt.result, attempt.answer) == (result, said)
    assert seen == [URL]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ReadTimeout("slow"), "no answer within 15 s"),
        (httpx.ConnectError("secret words"), "it cannot be reached: ConnectError"),
    ],
)
async def test_trouble_on_the_way_is_a_missed_attempt(error: Exception, said: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    async with mocked(answer) as client:
        attempt = await send(client, URL, DELIVERY, secrets=SECRETS, now=2000)

    assert (attempt.result, attempt.answer) == (Result.MISSED, said)


async def test_an_endless_answer_is_not_read() -> None:
    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"more"

    async with mocked(lambda request: httpx.Response(200, content=forever())) as client:
        attempt = await send(client, URL, DELIVERY, secrets=SECRETS, now=2000)

    assert attempt.result is Result.DELIVERED


@asynccontextmanager
async def listener(host: str = "127.0.0.1") -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield a port where somebody listens, and all that arrives there."""
    heard = list[bytes]()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(hear, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST.",
        "printer",
        "nas.local",
        "0.0.0.0",
        "10.0.0.1",
        "10.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
    ],
)
async def test_nothing_is_sent_into_an_inner_network_however_it_is_written(host: str) -> None:
    async with listener() as (port, heard), open_client() as client:
        url = f"http://{host}:{port}/hook"
        attempt = await send(client, url, DELIVERY, secrets=SECRETS, now=2000)

    assert (attempt.result, attempt.answer) == (Result.MISSED, NOT_PUBLIC)
    assert heard in ([], [b""])


async def test_a_public_name_of_an_inner_address_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listener() as (port, heard), open_client() as client:
        inner = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **named: [inner])
        url = f"http://hooks.example.com:{port}/hook"
        attempt = await send(client, url, DELIVERY, secrets=SECRETS, now=2000)

    assert (attempt.result, attempt.answer) == (Result.MISSED, NOT_PUBLIC)
    assert heard in ([], [b""])  # a connection that is closed before anything is said


def test_the_body_is_the_same_each_time() -> None:
    args = ("evt_1", "video.failed", "video_1", 5.5)

    assert build_body(*args) == build_body(*args)
