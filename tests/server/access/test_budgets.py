"""Budgets of callers against prices of several videos and unknown ones; factors of their keys."""

import httpx
import pytest
from fastapi import FastAPI

from media_agent.config.settings import load_settings
from media_agent.ledger.ledger import Ledger
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


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", {"request": {"prompt": "a red fox", "model": "sandbox"}}),
        ("/v1/videos", {"prompt": "a red fox", "model": "sandbox"}),
    ],
)
async def test_a_job_is_paid_by_the_factor_of_the_key_that_it_was_asked_with(
    http: httpx.AsyncClient,
    new_key: NewKey,
    ledger: Ledger,
    path: str,
    body: dict[str, object],
) -> None:
    factors = (1.5, None, 0.0)
    keys = [bearer(new_key(resale_factor=factor)) for factor in factors]

    replies = [
        await http.post(path, json=body, headers={**key, "Idempotency-Key": f"of-{number}"})
        for number, key in enumerate(keys)
    ]

    terms = [ledger.jobs.terms(reply.json()["id"]) for reply in replies]
    assert [each.resale_factor for each in terms] == [1.5, 1.0, 0.0]
    assert {each.caller for each in terms} == {"alice"}
