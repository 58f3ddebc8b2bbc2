"""The simulated ComfyUI server answers on its documented routes, and its websocket is one."""

import json

import anyio
import httpx
import pytest

from media_agent_hosted.providers.comfyui.simulated_socket import _frame
from media_agent_hosted.providers.comfyui.simulator import ComfySimulator

GRAPH = {"1": {"class_type": "SaveVideo", "inputs": {"length": 3}}}


def submit(simulator: ComfySimulator, **more: object) -> httpx.Response:
    return httpx.post(f"{simulator.url}/prompt", json={"prompt": GRAPH, **more})


def test_work_goes_from_the_queue_into_the_history() -> None:
    with ComfySimulator(queued_polls=1, running_polls=1) as simulator:
        url = simulator.url
        accepted = submit(simulator, prompt_id="abc").json()
        pending, running, over = (httpx.get(f"{url}/api/queue").json() for _ in range(3))
        past = httpx.get(f"{url}/history/abc").json()
        (file,) = past["abc"]["outputs"]["1"]["images"]
        video = httpx.get(f"{url}/view", params={**file})

    assert accepted == {"prompt_id": "abc", "number": 1, "node_errors": {}}
    assert pending == {"queue_running": [], "queue_pending": [[0, "abc", GRAPH, None, []]]}
    assert running == {"queue_running": [[0, "abc", GRAPH, None, []]], "queue_pending": []}
    assert over == {"queue_running": [], "queue_pending": []}
    assert past["abc"]["status"]["status_str"] == "success"
    assert video.content[4:8] == b"ftyp"


def test_what_is_unknown_has_no_history_and_no_file() -> None:
    with ComfySimulator() as simulator:
        found = [
            httpx.get(f"{simulator.url}{path}")
            for path in ("/history/abc", "/view?filename=a.mp4&type=output", "/nowhere")
        ]
        empty = httpx.post(f"{simulator.url}/prompt", json={"prompt": {}})

    assert [each.status_code for each in found] == [200, 404, 404]
    assert found[0].json() == {}
    assert (empty.status_code, empty.json()["error"]["type"]) == (400, "no_prompt")


@pytest.mark.anyio
async def test_the_websocket_tells_of_the_work_of_its_client() -> None:
    client = pytest.importorskip("websockets.asyncio.client")
    with ComfySimulator(queued_polls=0, running_polls=2) as simulator:
        submit(simulator, prompt_id="abc", client_id="me")
        await anyio.to_thread.run_sync(httpx.get, f"{simulator.url}/queue")
        told = []
        address = simulator.url.replace("http", "ws")
        async with client.connect(
            f"{address}/ws?clientId=me", proxy=None, close_timeout=1
        ) as socket:
            with anyio.fail_after(60):
                while not told or told[-1]["type"] != "progress":
                    told.append(json.loads(await socket.recv()))

    assert [each["type"] for each in told] == [
        "status",
        "execution_start",
        "execution_cached",
        "executing",
        "progress",
    ]
    assert told[-1]["data"]["prompt_id"] == "abc"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_message_of_any_length_says_how_long_it_is(size: int) -> None:
    frame = _frame(b"x" * size)

    length = frame[1]
    start = {126: 4, 127: 10}.get(length, 2)
    said = int.from_bytes(frame[2:start]) if start > 2 else length
    assert (frame[0], said, len(frame) - start) == (0x81, size, size)


def test_a_plain_get_is_no_websocket() -> None:
    with ComfySimulator() as simulator:
        assert httpx.get(f"{simulator.url}/ws").status_code == 400
