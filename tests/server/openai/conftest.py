"""The official client of OpenAI over a server in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import httpx2
import openai
import pytest
from fastapi import FastAPI

from media_agent.config.settings import load_settings
from media_agent.server.app import build_app
from media_agent.server.context import ServerContext
from media_agent.video.images import as_png, frame_of

SMALL = {"width": 64, "height": 48, "seconds": 1, "fps": 4}
TINY = {
    "model": "magi/tiny",
    "prompt": "a red circle moving right",
    "num_frames": 24,
    "seed": 1,
    "num_inference_steps": 8,
}
"""The smallest video of magi/tiny, with an option that only it knows."""


@pytest.fixture
async def app() -> AsyncIterator[FastAPI]:
    app = build_app(load_settings(default_backend="sandbox"))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def server(app: FastAPI) -> ServerContext:
    context: ServerContext = app.state.context
    return context


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def official(app: FastAPI) -> AsyncIterator[openai.AsyncOpenAI]:
    own = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(
        api_key="none", base_url="http://localhost/v1", http_client=own, max_retries=0
    ) as client:
        yield client


@pytest.fixture(scope="session")
def png() -> bytes:
    return as_png(frame_of(bytes([200, 10, 10]) * 64 * 64, 64, 64))


Finish = Callable[[str], Awaitable[dict[str, Any]]]


@pytest.fixture
def finish(http: httpx.AsyncClient) -> Finish:
    async def wait(video_id: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                video: dict[str, Any] = (await http.get(f"/v1/videos/{video_id}")).json()
                if video["status"] in ("completed", "failed"):
                    return video
                await asyncio.sleep(0.02)

    return wait
