"""Plans over HTTP."""

import httpx
import pytest


@pytest.mark.anyio
async def test_a_refusal_names_fields_and_no_flags(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/plan", json={"request": {"prompt": "a fox"}, "best": 1})

    refusals = [each for one in reply.json()["candidates"] for each in one["refusals"]]
    hints = [each["hint"] for each in refusals if each["hint"]]
    assert reply.status_code == 200
    assert 'model="sandbox/slate"' in hints
    assert [each for each in hints if "--" in each] == []
