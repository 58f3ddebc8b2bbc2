"""The server as a process on stdin and stdout, and over HTTP."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from media_agent.mcp.run import PATH, _wait_for_signal, build_http_app
from tests.mcp.conftest import SLOW, WISH, call, open_client

pytestmark = pytest.mark.anyio

# A backend that prints, as plugins do: from Python, and below it.
_NOISY = """
import os, sys
from media_agent.builtin.sandbox import SandboxBackend
generate = SandboxBackend.generate
def noisy(self, request, context):
    print("from Python", flush=True)
    os.write(1, b"from below\\n")
    return generate(self, request, context)
SandboxBackend.generate = noisy
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
from media_agent.cli import main
sys.exit(main(["mcp"]))
"""


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MEDIA_AGENT_DATA_DIR": str(folder / "data"),
        "MEDIA_AGENT_DEFAULT_BACKEND": "sandbox",
    }


async def test_over_stdio_a_video_is_made_whatever_a_backend_prints_until_a_signal_comes(
    tmp_path: Path,
) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-c", _NOISY, str(tmp_path / "pid")],
        env=environment(tmp_path),
    )

    async with Client(server, mode="legacy") as client:
        done = await call(client, "create_video", **WISH, wait_seconds=60)
        sheet = await client.read_resource(f"media-agent://jobs/{done['job_id']}/contact-sheet")
        left = await call(client, "create_video", **SLOW)
        process = int((tmp_path / "pid").read_text())
        os.kill(process, signal.SIGTERM)
        async with asyncio.timeout(60):
            while psutil.pid_exists(process) and psutil.Process(process).status() != "zombie":  # noqa: ASYNC110  # it is another process
                await asyncio.sleep(0.02)

    assert done["status"] == "completed"
    assert sheet.contents[0].mime_type == "image/png"
    async with open_client(tmp_path) as later:
        job = await later.get(left["job_id"])
        assert not job.status.is_terminal
        assert not later.is_running(job.id)
        await later.cancel(job.id)


@pytest.mark.parametrize("is_ending", [False, True])
async def test_a_second_signal_ends_a_server_at_once_that_is_still_ending(
    monkeypatch: pytest.MonkeyPatch, is_ending: bool
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("media_agent.mcp.run.os._exit", exits.append)
    waiting = asyncio.create_task(_wait_for_signal())
    await asyncio.sleep(0)
    if is_ending:  # its client closed stdin
        waiting.cancel()

    os.kill(os.getpid(), signal.SIGTERM)
    (came,) = await asyncio.gather(waiting, return_exceptions=True)
    after_one = list(exits)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(30):
        while not exits:  # noqa: ASYNC110  # it has no event to wait for
            await asyncio.sleep(0.01)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)

    assert isinstance(came, asyncio.CancelledError) if is_ending else came == signal.SIGTERM
    assert after_one == []
    assert exits == [128 + signal.SIGTERM]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_http_a_video_is_made_and_its_progress_told(tmp_path: Path, mode: str) -> None:
    told: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        app = build_http_app(open_client(tmp_path), report_every=0.05)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        while not server.started:  # noqa: ASYNC110  # it has no event to wait for
            await asyncio.sleep(0.01)
        async with Client(url, mode=mode) as client:
            wish = WISH | {"options": ["latency_seconds=0.5"], "wait_seconds": 30}
            result = await client.call_tool("create_video", wish, progress_callback=hear)
            done = json.loads(result.content[0].text)  # type: ignore[union-attr]
            record = await client.read_resource(f"media-agent://jobs/{done['job_id']}/record")
        server.should_exit = True
        await serving

    assert done["status"] == "completed"
    assert told
    assert done["job_id"] in str(record.contents[0])
