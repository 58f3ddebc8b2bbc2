"""Every error has one shape, also those that no route of ours makes."""

import httpx
import pytest


@pytest.mark.anyio
async def test_an_unknown_path_answers_in_the_shape_of_all_errors(http: httpx.AsyncClient) -> None:
    reply = await http.get("/v1/nothing")

    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "not_found_error"
    assert reply.json()["media_agent"]["code"] == "not_found"
