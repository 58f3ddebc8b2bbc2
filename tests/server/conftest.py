"""A server in this process, over the sandbox, called without a socket."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from media_agent.config.settings import load_settings
from media_agent.server.app import build_app


@pytest.fixture
def app() -> FastAPI:
    return build_app(load_settings(default_backend="sandbox"))


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost"
        ) as client,
    ):
        yield client
