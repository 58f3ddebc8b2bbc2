"""An MCP server over the sandbox, and clients for it in memory."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.server.lowlevel import Server

from media_agent.builtin.sandbox import media_agent_backends
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.mcp.access import OneBox
from media_agent.mcp.server import build_server
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.tools import ToolBox

WISH: dict[str, Any] = {"prompt": "a cat", "duration": 0.5, "size": "64x36", "seed": 0}
SLOW: dict[str, Any] = WISH | {"options": ["latency_seconds=60"]}
PRICED: dict[str, Any] = WISH | {"duration": 1, "options": ["price_per_second=2"]}

OpenClient = Callable[[Path], VideoClient]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def open_client(folder: Path) -> VideoClient:
    """Return the client of a process on a data folder."""
    specs = {spec.name: spec for spec in media_agent_backends()}
    settings = load_settings(data_dir=folder / "data", default_backend="sandbox")
    return VideoClient(settings=settings, registry=Registry(Discovery(specs)))


@pytest.fixture
async def videos(tmp_path: Path) -> AsyncIterator[VideoClient]:
    async with open_client(tmp_path) as made:
        yield made


@pytest.fixture
def server(videos: VideoClient) -> Server[Any]:
    return build_server(OneBox(ToolBox(videos, ask_above_usd=1)), report_every=0.02)


@pytest.fixture(params=["auto", "legacy"])
async def client(server: Server[Any], request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client of today's protocol, and one of those before it."""
    async with Client(server, mode=request.param) as opened:
        yield opened


@pytest.fixture
async def modern(server: Server[Any]) -> AsyncIterator[Client]:
    """A client of today's protocol, for what does not depend on it."""
    async with Client(server) as opened:
        yield opened


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """Return what a tool answers, as data."""
    result = await client.call_tool(tool, arguments)
    return json.loads(result.content[0].text)  # type: ignore[union-attr]  # a text is first
