"""Health, numbers and new settings of a server that runs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from media_agent.config.settings import Settings, load_settings
from media_agent.errors import ConfigurationError
from media_agent.server.app import build_app
from tests.server.fuzzed import SMALL

pytestmark = pytest.mark.anyio


class NewSettings:
    """The settings as they will be read next."""

    def __init__(self) -> None:
        self.overrides: dict[str, Any] = {"default_backend": "sandbox"}

    def __call__(self) -> Settings:
        if "broken" in self.overrides:
            raise ConfigurationError("media-agent.toml:1: it is broken")
        return load_settings(**self.overrides)


@pytest.fixture
def new() -> NewSettings:
    return NewSettings()


@pytest.fixture
async def app(new: NewSettings) -> AsyncIterator[FastAPI]:
    app = build_app(new(), read_settings=new)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_server_is_ready_until_it_stops(http: httpx.AsyncClient, app: FastAPI) -> None:
    ready = await http.get("/ready")

    app.state.context.stop()
    stopping = await http.get("/ready")

    assert (await http.get("/health")).json()["status"] == "ok"
    assert (ready.status_code, stopping.status_code) == (200, 503)
    assert stopping.json()["media_agent"]["retryable"] is True


async def test_a_ledger_that_cannot_be_written_is_no_server_to_send_work_to(
    http: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = app.state.context.host.client.store
    with ledger.database.writing():  # somebody else writes for long
        monkeypatch.setattr("media_agent.server.operation.health._PATIENCE", 0.01)
        busy = await http.get("/ready")

    assert busy.status_code == 503
    assert (await http.get("/health")).status_code == 200


async def test_the_numbers_name_routes_and_never_what_callers_write(
    http: httpx.AsyncClient,
) -> None:
    job = (await http.post("/v1/jobs", json={"request": SMALL})).json()
    await http.get(f"/v1/jobs/{job['id']}/events")
    await http.get("/v1/jobs/made-up")
    await http.get("/made-up/path")
    await http.request("MADEUP", "/v1/jobs")

    text = (await http.get("/metrics")).text

    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["media_agent_jobs", "completed", "sandbox"] == 1
    assert found["media_agent_http_requests_total", "/v1/jobs/{job_id}", "404", "GET"] == 1
    assert found["media_agent_http_seconds_count", "/v1/jobs", "POST"] == 1
    assert found["media_agent_http_seconds_bucket", "+Inf", "/v1/jobs", "POST"] == 1
    assert found["media_agent_event_listeners",] == 0
    assert not any(word in text for word in ("made-up", "MADEUP", job["id"]))


async def test_new_settings_count_for_new_jobs_and_those_under_way_end_as_they_began(
    http: httpx.AsyncClient, app: FastAPI, new: NewSettings
) -> None:
    old = app.state.context.host.client
    slow = {**SMALL, "endless": True}
    slow.pop("num_frames")
    began = (await http.post("/v1/jobs", json={"request": slow})).json()["id"]
    new.overrides |= {"policy": "strict", "server": {"port": 1234}}

    told = (await http.post("/v1/admin/reload")).json()
    after = await http.post("/v1/jobs", json={"request": {**SMALL, "fps": 7.123}})
    running = (await http.get(f"/v1/jobs/{began}")).json()["status"]
    await http.post(f"/v1/jobs/{began}/cancel")
    await http.get(f"/v1/jobs/{began}/events")

    assert set(told["changed"]) >= {"policy", "server"}
    assert told["after_restart"] == ["server.port"]
    assert app.state.context.host.client is not old
    assert after.json()["plan"]["policy"] == "strict"
    assert running in ("queued", "in_progress")
    ended = (await http.get(f"/v1/jobs/{began}")).json()
    assert ended["status"] == "cancelled"
    async with asyncio.timeout(60):
        while old in app.state.context.host._calls:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_new_limits_of_bodies_count_at_once_and_new_webhooks_after_a_restart(
    http: httpx.AsyncClient, new: NewSettings
) -> None:
    secret = f"whsec_{'A' * 40}"
    hook = {"url": "https://studio.example/hook", "key": secret}
    new.overrides["server"] = {"max_json_bytes": 1024, "webhooks": {"studio": hook}}

    told = (await http.post("/v1/admin/reload")).json()
    large = await http.post("/v1/jobs", json={"request": {**SMALL, "prompt": "a cat" * 300}})

    assert told["after_restart"] == ["server.webhooks"]
    assert large.status_code == 413


async def test_faulty_settings_change_nothing(
    http: httpx.AsyncClient, app: FastAPI, new: NewSettings
) -> None:
    before = app.state.context.settings
    new.overrides["broken"] = True

    reply = await http.post("/v1/admin/reload")

    assert reply.status_code == 500
    assert "it is broken" in reply.json()["error"]["message"]
    assert app.state.context.settings is before
    assert (await http.post("/v1/jobs", json={"request": SMALL})).status_code == 201


async def test_limits_of_bodies_and_prices_to_confirm_follow_and_webhooks_need_a_restart(
    http: httpx.AsyncClient, app: FastAPI, new: NewSettings
) -> None:
    hook = {"url": "https://example.com/hook", "key": "whsec_" + "A" * 32}
    new.overrides["server"] = {"max_json_bytes": 2000, "webhooks": {"a": hook}}
    body = {"request": {**SMALL, "labels": {"a": "x" * 3000}}}

    before = await http.post("/v1/plan", json=body)
    told = (await http.post("/v1/admin/reload")).json()
    after = await http.post("/v1/plan", json=body)

    assert (before.status_code, after.status_code) == (200, 413)
    assert told["after_restart"] == ["server.webhooks"]


async def test_a_path_writes_no_line_of_its_own_into_the_log(
    http: httpx.AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/v1/broken/{name}", include_in_schema=False)
    async def break_down(name: str) -> None:
        raise RuntimeError(name[:1])

    reply = await http.get("/v1/broken/a%0Aforged%1B[31m")

    assert reply.status_code == 500
    assert "a\\nforged\\x1b" in caplog.text
