"""A server with a route that says who calls; and keys for it."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from media_agent.config.settings import load_settings
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.api_keys import KeyTerms
from media_agent.server.access import session_routes
from media_agent.server.app import build_app
from media_agent.server.context import CallerHere
from media_agent.server.page import page

TERMS = KeyTerms(owner="alice", scopes=frozenset({"videos:read", "videos:write"}))

NewKey = Callable[..., str]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger(load_settings().ledger_path)
    yield ledger
    ledger.close()


@pytest.fixture
def new_key(ledger: Ledger) -> NewKey:
    """Return what makes a key and returns its secret."""

    def make(**terms: object) -> str:
        _, secret = ledger.api_keys.add(replace(TERMS, **terms), datetime.now(UTC))  # type: ignore[arg-type]  # any of the fields
        return secret

    return make


@pytest.fixture
def app(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return the application; `whole_app` marks tests that need more than its gate."""
    if "whole_app" not in request.fixturenames:
        few = (session_routes.router, page.router)
        monkeypatch.setattr("media_agent.server.app._ROUTERS", few)
    app = build_app(load_settings(default_backend="sandbox"))

    @app.api_route("/v1/probe", methods=["GET", "POST"], include_in_schema=False)
    async def probe(caller: CallerHere) -> dict[str, object]:
        return {"name": caller.name, "is_remote": caller.is_remote, "sees_all": caller.sees_all}

    return app


@pytest.fixture
def whole_app() -> None:
    """Let the application have all its routes."""


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8000"
        ) as client,
    ):
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}
