"""What our own requests tell."""

import httpx
import pytest

from media_agent.telemetry.calls import MeasuredClient
from tests.telemetry.conftest import Told

ADDRESS = "https://video.example/v1/jobs/7?key=secret-in-the-query"


def answer(request: httpx.Request) -> httpx.Response:
    if request.method == "POST":
        raise httpx.ConnectError("the host video.example is away")
    return httpx.Response(429)


@pytest.mark.anyio
async def test_a_request_tells_method_host_and_status_and_no_more(told: Told) -> None:
    async with MeasuredClient(transport=httpx.MockTransport(answer)) as client:
        await client.get(ADDRESS)

    ((labels, seconds),) = told.points()["http.client.request.duration"]
    assert labels == {
        "http.request.method": "GET",
        "server.address": "video.example",
        "http.response.status_code": 429,
    }
    assert seconds >= 0
    assert "secret" not in told.as_text()
    assert "jobs" not in told.as_text()


@pytest.mark.anyio
async def test_a_request_without_an_answer_tells_the_kind_of_the_error(told: Told) -> None:
    async with MeasuredClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post(ADDRESS)

    ((labels, _),) = told.points()["http.client.request.duration"]
    assert labels["error.type"] == "ConnectError"
    assert not told.spans()["POST"].status.is_ok


@pytest.mark.anyio
async def test_without_listeners_a_request_is_sent_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_agent.telemetry.calls.instruments", lambda: None)
    async with MeasuredClient(transport=httpx.MockTransport(answer)) as client:
        assert (await client.get(ADDRESS)).status_code == 429
