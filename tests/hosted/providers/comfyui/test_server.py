"""A queue of any length is read; each of its entries comes with two whole workflows."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.providers.comfyui.replies import KEY_FIELD
from media_agent_hosted.providers.comfyui.server import Server
from media_agent_hosted.providers.comfyui.workflow import Workflow

pytestmark = pytest.mark.anyio

WAITING = 1000
LARGEST = 2**18  # bytes
GRAPH = {str(node): {"class_type": "A", "inputs": {"text": "a"}} for node in range(3)}
FOR_THE_EDITOR = {"extra_pnginfo": {"workflow": {"nodes": [["a" * 300]]}}}


def entry(number: int) -> list[object]:
    extra = {**FOR_THE_EDITOR, KEY_FIELD: f"key-{number}"}
    return [number, f"work-{number}", GRAPH, extra, ["9"]]


class Queue(httpx.AsyncByteStream):
    """One work that runs and many that wait: more bytes than are held of an answer."""

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"queue_running": [%b], "queue_pending": [' % json.dumps(entry(0)).encode()
        for number in range(1, WAITING + 1):
            piece = json.dumps(entry(number)).encode() + (b"," if number < WAITING else b"]}")
            self.sent += len(piece)
            yield piece


async def test_a_thousand_entries_are_read_and_asked_for_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("media_agent_hosted.http.body.LARGEST_REPLY", LARGEST)
    queues, now = list[Queue](), 0.0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now
        now += 3
        queues.append(Queue())
        return httpx.Response(200, stream=queues[-1])

    api = HttpApi("http://127.0.0.1:8188", transport=httpx.MockTransport(answer))
    server = Server(api, Workflow({"1": {"class_type": "A"}}), "comfy", clock=lambda: now)

    last, running = (
        await server.find_queued(f"work-{WAITING}"),
        await server.find_queued("work-0"),
    )
    now += 59
    await server.find_queued("work-7")
    asked = len(queues)
    now += 2
    await server.find_queued("work-7")
    nowhere = await server.find_queued("work-new")
    await api.aclose()

    assert queues[0].sent > 2 * LARGEST
    assert last is not None
    assert running is not None
    assert (last.position, last.key, running.position) == (WAITING, f"key-{WAITING}", 0)
    assert (asked, len(queues), nowhere) == (1, 3, None)
