"""The commands about webhooks."""

import asyncio
import json
import shlex
import time
from datetime import UTC, datetime

import httpx
import pytest

from media_agent.cli import main
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.deliveries import EndpointTerms
from media_agent.server.webhooks.sender import Result
from media_agent.server.webhooks.service import read_endpoints, send_test
from media_agent.server.webhooks.signing import is_signed, read_secrets
from media_agent_schemas import JobCancelled, VideoRequest

NAME = "MEDIA_AGENT_SERVER__WEBHOOKS__SHOP__"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TERMS = EndpointTerms("https://shop.example/hook", ("video.cancelled",))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(load_settings().ledger_path)


def end_job(ledger: Ledger) -> str:
    """Keep a job, and that it was cancelled."""

    async def keep() -> str:
        async with VideoClient(settings=load_settings(default_backend="sandbox")) as client:
            return (await client.start(VideoRequest(prompt="a cat"))).id

    job_id = asyncio.run(keep())
    ledger.events.append(job_id, JobCancelled(), datetime.now(UTC))
    return job_id


def test_without_webhooks_the_list_says_how_to_set_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["webhooks", "list"]) == 0
    assert "[server.webhooks.NAME]" in capfd.readouterr().out


def test_the_list_shows_endpoints_and_deliveries(
    capfd: pytest.CaptureFixture[str], ledger: Ledger
) -> None:
    ledger.deliveries.keep_endpoints({"shop": TERMS}, 0)
    job_id = end_job(ledger)
    ledger.deliveries.disable("shop", "HTTP 410")

    assert main(["webhooks", "list"]) == 0
    said = capfd.readouterr().out
    assert main(["webhooks", "list", "--json"]) == 0
    data = json.loads(capfd.readouterr().out)

    assert "disabled: HTTP 410" in said
    assert f"shop      video.cancelled  {job_id}" in said
    assert data["endpoints"][0]["waiting"] == 1
    (delivery,) = data["deliveries"]
    assert (delivery["job_id"], delivery["state"], delivery["attempts"]) == (job_id, "waiting", 0)
    assert delivery["id"].startswith(f"evt_{job_id}_")


def test_a_test_event_that_is_not_taken_is_an_error_in_words(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    ledger.deliveries.keep_endpoints({"shop": TERMS}, 0)
    ledger.deliveries.disable("shop", "HTTP 410")
    monkeypatch.setenv(NAME + "URL", "https://localhost/hook")
    monkeypatch.setenv(NAME + "KEY", SECRET)

    assert main(["webhooks", "test", "shop"]) != 0
    said = capfd.readouterr().err
    assert main(["webhooks", "test", "shopp"]) != 0

    assert "webhook shop did not take the event: its address is not public" in said
    assert "did you mean shop" in capfd.readouterr().err
    assert ledger.deliveries.endpoints()[0].disabled == "HTTP 410"


def test_a_test_event_is_written_as_a_command_for_a_receiver_of_this_machine(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    monkeypatch.setenv(NAME + "URL", "https://shop.example/hook")
    monkeypatch.setenv(NAME + "KEY", SECRET)

    assert main(["webhooks", "test", "shop", "--curl", "http://127.0.0.1:9000/hook"]) == 0

    curl, _, url, *headers, option, body = shlex.split(capfd.readouterr().out)
    split = (each.split(": ", 1) for each in headers[1::2])
    given = {name.lower(): value for name, value in split}
    assert (curl, url, option) == ("curl", "http://127.0.0.1:9000/hook", "--data-raw")
    assert json.loads(body)["type"] == "webhook.test"
    assert given["content-type"] == "application/json"
    assert is_signed(given, body.encode(), read_secrets(SECRET, "key"), now=time.time())


@pytest.mark.anyio
async def test_a_test_event_has_a_type_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME + "URL", "https://shop.example/hook")
    monkeypatch.setenv(NAME + "KEY", SECRET)
    seen = list[httpx.Request]()

    def open_client() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.MockTransport(lambda each: seen.append(each) or httpx.Response(200))
        )

    endpoint = read_endpoints(load_settings())["shop"]
    attempt = await send_test("shop", endpoint, open_client=open_client)

    assert attempt.result is Result.DELIVERED
    assert json.loads(seen[0].content)["type"] == "webhook.test"
