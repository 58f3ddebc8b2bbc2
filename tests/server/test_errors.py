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


def test_the_code_of_the_provider_stands_beside_ours() -> None:
    error = BackendAuthenticationError("no credit").with_provider_code("insufficient_quota")

    body = json.loads(bytes(answer_error(error).body))

    assert body["error"]["code"] == "backend_authentication"
    assert body["media_agent"]["provider_code"] == "insufficient_quota"
