"""Every error has one shape, also those that no route of ours makes."""

import json

import httpx
import pytest

from media_agent.errors import BackendAuthenticationError
from media_agent.server.errors import answer_error


@pytest.mark.anyio
async def test_an_unknown_path_answers_in_the_shape_of_all_errors(http: httpx.AsyncClient) -> None:
    reply = await http.get("/v1/nothing")

    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "not_found_error"
    assert reply.json()["media_agent"]["code"] == "not_found"
    assert reply.json()["error"]["message"].endswith("GET /openapi.json lists the routes")


def test_the_code_of_the_provider_stands_beside_ours() -> None:
    error = BackendAuthenticationError("no credit").with_provider_code("insufficient_quota")

    body = json.loads(bytes(answer_error(error).body))

    assert body["error"]["code"] == "backend_authentication"
    assert body["media_agent"]["provider_code"] == "insufficient_quota"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"request": {"promt": "a fox"}}, "request.promt: unknown key; did you mean prompt?"),
        ({"request": {"options": {"seed": 1}}}, 'such as {"name": "one"}'),
        ({}, "request: it is missing"),
        ([], 'body: it should be a valid dictionary, such as {"request": {"prompt": "one"}}'),
    ],
)
async def test_a_malformed_body_names_what_was_meant(
    http: httpx.AsyncClient, body: object, said: str
) -> None:
    reply = await http.post("/v1/plan", json=body)

    assert reply.status_code == 400
    assert said in reply.json()["error"]["message"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/videos", "/v1/jobs"])
async def test_json_that_curl_sends_as_a_form_is_told_apart(
    http: httpx.AsyncClient, path: str
) -> None:
    reply = await http.post(
        path,
        content='{"prompt": "a fox"}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert reply.status_code == 400
    assert "Content-Type: application/json" in reply.json()["error"]["message"]
