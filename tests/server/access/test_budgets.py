"""Budgets of callers against prices of several videos, and prices that nobody knows."""

import httpx
import pytest
from fastapi import FastAPI

from media_agent.config.settings import load_settings
from media_agent.server.app import build_app
from tests.server.access.conftest import NewKey, bearer

pytestmark = pytest.mark.anyio

VEO = {"prompt": "a red fox", "model": "vertex/veo-3.1-generate-001", "n": 2}
UNKNOWN = {"prompt": "a red fox", "model": "replicate/acme/unheard-of"}


@pytest.fixture
def app() -> FastAPI:
    vertex = {"key": "ya29.none", "options": {"project": "fox-123456"}}
    backends = {"vertex": vertex, "replicate": {"key": "none"}}
    return build_app(load_settings(default_backend="sandbox", backends=backends))


@pytest.mark.parametrize(
    ("path", "body", "price"),
    [
        ("/v1/jobs", {"request": {**VEO, "duration": 8}}, "6.40 USD"),
        ("/v1/videos", {**VEO, "seconds": "8"}, "6.40 USD"),
        ("/v1/jobs", {"request": UNKNOWN}, "an unknown price"),
        ("/v1/videos", UNKNOWN, "an unknown price"),
    ],
)
async def test_what_is_over_a_budget_or_has_no_price_is_refused_and_not_kept(
    http: httpx.AsyncClient, new_key: NewKey, path: str, body: dict[str, object], price: str
) -> None:
    key = bearer(new_key(usd_total=5.0))

    reply = await http.post(path, json=body, headers=key)

    assert reply.status_code == 402
    assert f"would cost {price}; the API keys of alice allow 5.00 USD" in reply.text
    assert (await http.get("/v1/jobs", headers=key)).json()["data"] == []
