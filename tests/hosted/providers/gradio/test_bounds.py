"""An app that never ends its answer holds nobody up, and fills no memory."""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from media_agent_hosted.http.auth import no_auth
from media_agent_hosted.http.body import LARGEST_REPLY
from media_agent_hosted.providers.gradio.bounds import BoundedOrigin, in_daemon_thread

APP = "http://app.example"
_WAITS_FOR_EVER = """
import asyncio, time
from media_agent_hosted.providers.gradio.bounds import DaemonExecutor, in_daemon_thread

async def main():
    DaemonExecutor().submit(time.sleep, 600)
    async with asyncio.timeout(0.1):
        await in_daemon_thread(time.sleep, 600)

try:
    asyncio.run(main())
except TimeoutError:
    print("ended")
"""


class _Endless(httpx.SyncByteStream):
    def __init__(self, piece: bytes, seconds: float = 0.0) -> None:
        self._piece, self._seconds = piece, seconds
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        for _ in itertools.count():
            time.sleep(self._seconds)
            self.given += 1
            yield self._piece


def _get(stream: _Endless, path: str = "/config", seconds: float = 30.0, **headers: str) -> None:
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, stream=stream, headers=headers)
    )
    with httpx.Client(transport=transport, auth=BoundedOrigin(APP, no_auth, seconds)) as client:
        client.get(f"{APP}{path}")


@pytest.mark.parametrize("path", ["/config", "/gradio_api/queue/data"])
def test_no_more_than_a_short_answer_is_read(path: str) -> None:
    stream = _Endless(b" " * 2**20)

    with pytest.raises(ValueError, match="where a short answer was due"):
        _get(stream, path)

    assert stream.given == LARGEST_REPLY // 2**20 + 1


def test_an_answer_that_drips_ends_in_time() -> None:
    with pytest.raises(httpx.ReadTimeout):
        _get(_Endless(b" ", seconds=0.05), seconds=0.2)


def test_a_packed_answer_is_not_unpacked() -> None:
    with pytest.raises(ValueError, match="not asked for"):
        _get(_Endless(b" "), **{"content-encoding": "gzip"})


def test_events_may_come_as_long_as_they_are_wanted() -> None:
    origin = BoundedOrigin(APP, no_auth, 0.0)
    stream = _Endless(b"data: 1\n\n" + b" " * 2**20)
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=stream))
    with (
        httpx.Client(transport=transport, auth=origin) as client,
        client.stream("GET", f"{APP}/gradio_api/queue/data") as response,
    ):
        pieces = response.iter_raw()
        for _ in range(40):
            next(pieces)
        origin.is_closed = True
        with pytest.raises(httpx.RemoteProtocolError):
            next(pieces)

    assert stream.given == 41


def test_the_process_does_not_wait_for_its_threads() -> None:
    command = [sys.executable, "-c", _WAITS_FOR_EVER]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout == "ended\n"


@pytest.mark.anyio
async def test_a_client_that_finds_nothing_in_an_answer_is_not_waited_for() -> None:
    async with asyncio.timeout(60):
        with pytest.raises(ValueError, match="something is missing in its answer"):
            await in_daemon_thread(next, iter(()))
