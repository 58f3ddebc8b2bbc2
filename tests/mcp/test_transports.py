"""The server as a process on stdin and stdout, and over HTTP."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from media_agent.mcp.run import PATH, build_http_app
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


async def test_over_stdio_a_video_is_made_whatever_a_backend_prints(tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-c", _NOISY], env=environment(tmp_path)
    )

    async with Client(server, mode="legacy") as client:
        done = await call(client, "create_video", **WISH, wait_seconds=60)
        sheet = await client.read_resource(f"media-agent://jobs/{done['job_id']}/contact-sheet")

    assert done["status"] == "completed"
    assert sheet.contents[0].mime_type == "image/png"


async def test_a_signal_ends_the_server_and_its_job_can_be_resumed(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "media_agent.cli", "mcp"),
        env=environment(tmp_path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for message in start_messages("create_video", SLOW):
        process.stdin.write(json.dumps(message).encode() + b"\n")
    replies = [json.loads(await process.stdout.readline()) for _ in range(2)]
    job_id = json.loads(replies[1]["result"]["content"][0]["text"])["job_id"]

    process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(process.wait(), 30)

    assert code == 128 + signal.SIGTERM
    async with open_client(tmp_path) as client:
        job = await client.get(job_id)
        assert not job.status.is_terminal
        assert not client.is_running(job_id)
        await client.cancel(job_id)


def start_messages(tool: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    client = {"name": "test", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    return [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        },
    ]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_http_a_video_is_made_and_its_progress_told(tmp_path: Path, mode: str) -> None:
    told: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        app = build_http_app(open_client(tmp_path))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        while not server.started:  # noqa: ASYNC110  # it has no event to wait for
            await asyncio.sleep(0.01)
        async with Client(url, mode=mode) as client:
            wish = WISH | {"options": ["latency_seconds=1.2"], "wait_seconds": 30}
            result = await client.call_tool("create_video", wish, progress_callback=hear)
            done = json.loads(result.content[0].text)  # type: ignore[union-attr]
            record = await client.read_resource(f"media-agent://jobs/{done['job_id']}/record")
        server.should_exit = True
        await serving

    assert done["status"] == "completed"
    assert told
    assert done["job_id"] in str(record.contents[0])
