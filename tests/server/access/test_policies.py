"""Policies of API keys: a key names those that apply, and every surface keeps to them."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from media_agent.config.settings import load_settings
from media_agent.server.app import build_app
from tests.server.access.conftest import NewKey, bearer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("whole_app")]

CIRCLE = {
    "prompt": "two red circles",
    "num_frames": 2,
    "fps": 2,
    "size": {"width": 64, "height": 64},
}
SQUARE = {**CIRCLE, "prompt": "a red square"}


@pytest.fixture
def app(whole_app: None) -> FastAPI:
    kids = {"kind": "blocklist", "for_all": False, "options": {"words": ["circle"]}}
    return build_app(load_settings(default_backend="sandbox", policies={"kids": kids}))


def calls(request: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    prompt = request["prompt"]
    return [
        ("/v1/jobs", {"request": request}),
        ("/v1/plan", {"request": request}),
        ("/v1/videos", {"prompt": prompt, "seconds": "1", "size": "64x64"}),
    ]


@pytest.mark.parametrize("number", range(3))
async def test_a_key_with_a_policy_is_refused_and_told_why_and_another_is_not(
    http: httpx.AsyncClient, new_key: NewKey, number: int
) -> None:
    school = bearer(new_key(owner="school", policies=frozenset({"kids"})))
    studio = bearer(new_key(owner="studio"))
    path, body = calls(CIRCLE)[number]
    _, fine = calls(SQUARE)[number]

    refused = await http.post(path, json=body, headers=school)

    assert refused.status_code == 422
    said = refused.json()
    assert said["media_agent"]["code"] == "policy_refused"
    assert "policy kids refused the request (blocked_word)" in said["error"]["message"]
    assert "'circles'" in said["error"]["message"]
    assert (await http.post(path, json=fine, headers=school)).status_code in (200, 201)
    assert (await http.post(path, json=body, headers=studio)).status_code in (200, 201)
    assert len((await http.get("/v1/jobs", headers=school)).json()["data"]) == (
        0 if path == "/v1/plan" else 1
    )


async def test_another_key_of_the_same_owner_is_no_way_around_it(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    new_key(owner="school", policies=frozenset({"kids"}))
    other = bearer(new_key(owner="school"))

    refused = await http.post("/v1/jobs", json={"request": CIRCLE}, headers=other)

    assert refused.status_code == 422


async def test_a_key_that_names_a_policy_that_is_gone_can_have_nothing_made(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key(owner="school", policies=frozenset({"gone"})))

    refused = await http.post("/v1/jobs", json={"request": SQUARE}, headers=key)

    assert refused.status_code == 503
    assert "names the policy gone" in refused.json()["error"]["message"]


async def test_an_agent_over_mcp_is_told_the_refusal(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key(owner="school", policies=frozenset({"kids"})))
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "create_video", "arguments": {"prompt": "two red circles"}},
    }
    headers = {**key, "Accept": "application/json, text/event-stream"}

    answer = await http.post("/mcp", json=call, headers=headers)

    assert "policy kids refused the request (blocked_word)" in answer.text


async def test_a_declaration_of_consent_is_kept_in_the_record(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key())
    body = {"request": {**SQUARE, "consent": "release form 12"}}

    job = (await http.post("/v1/jobs", json=body, headers=key)).json()
    await http.get(f"/v1/jobs/{job['id']}/events", headers=key)
    record = (await http.get(f"/v1/jobs/{job['id']}/record", headers=key)).json()

    assert record["asked"]["consent"] == "release form 12"
