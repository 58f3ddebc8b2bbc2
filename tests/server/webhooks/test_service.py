"""The webhooks of a whole server: from the settings to what is sent and taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from media_agent.backend import hints
from media_agent.client import VideoClient
from media_agent.config.settings import Settings, load_settings
from media_agent.errors import ConfigurationError
from media_agent.server.app import build_app
from media_agent.server.host import ClientHost
from media_agent.server.webhooks.service import open_webhooks, read_checks, read_endpoints
from media_agent.server.webhooks.signing import is_signed, read_secrets
from media_agent.setup.check import check
from media_agent_hosted.providers.replicate.simulator import ReplicateSimulator
from media_agent_schemas import VideoRequest

NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_b2xkIHNlY3JldCBvZiAzMiBieXRlcyBpcyBoZXJl"
URL = "https://shop.example/hook"

pytestmark = pytest.mark.anyio


def settings(**server: Any) -> Settings:
    return load_settings(default_backend="sandbox", server=server)


@asynccontextmanager
async def hosted(of: Settings) -> AsyncIterator[ClientHost]:
    host = ClientHost(VideoClient(settings=of))
    try:
        yield host
    finally:
        await host.aclose()


async def keep_endpoints(host: ClientHost, of: Settings) -> None:
    terms = {name: each.terms for name, each in read_endpoints(of).items()}
    await host.read(lambda ledger: ledger.deliveries.keep_endpoints(terms, 0))


async def make_video(client: VideoClient) -> str:
    return (await client.generate(VideoRequest(prompt="a cat", duration=0.1))).id


async def test_an_endpoint_of_the_settings_hears_of_a_job() -> None:
    heard, requests = asyncio.Event(), list[httpx.Request]()
    here = asyncio.get_running_loop()

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        here.call_soon_threadsafe(heard.set)
        return httpx.Response(200)

    def open_client() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(answer))

    found = settings(webhooks={"shop": {"url": URL, "key": f"{NEW} {OLD}"}})
    async with hosted(found) as host:
        await keep_endpoints(host, found)
        job_id = await host.call(make_video)
        async with open_webhooks(host, found, open_client=open_client), asyncio.timeout(60):
            await heard.wait()

    (request,) = requests
    assert str(request.url) == URL
    assert job_id in request.content.decode()
    now = float(request.headers["webhook-timestamp"])
    for secret in (NEW, OLD):
        secrets = read_secrets(secret, "the secret")
        assert is_signed(request.headers, request.content, secrets, now=now)


async def test_an_endpoint_that_was_taken_out_of_the_settings_is_forgotten() -> None:
    shop = settings(webhooks={"shop": {"url": URL, "key": NEW}})
    async with hosted(shop) as host:
        await keep_endpoints(host, shop)

        async with open_webhooks(host, settings()):
            await host.call(lambda client: client.list())  # which comes after it in its loop

        assert await host.read(lambda ledger: ledger.deliveries.endpoints()) == []


async def test_a_callback_reaches_the_server_without_a_key() -> None:
    app = build_app(settings(callbacks={"replicate": {"key": NEW}}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as http,
    ):
        answers = [
            (await http.post(f"/v1/webhooks/{name}", content=b'{"id": "1"}')).status_code
            for name in ("kling", "replicate", "nobody")
        ]

    assert answers == [204, 401, 404]


def test_a_webhook_without_a_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="webhook shop has no secret to sign with"):
        read_endpoints(settings(webhooks={"shop": {"url": URL}}))


def test_a_secret_that_is_not_there_is_named_by_its_variable() -> None:
    with pytest.raises(ConfigurationError, match="the variable SHOP_HOOK is not set"):
        read_endpoints(settings(webhooks={"shop": {"url": URL, "key_env": "SHOP_HOOK"}}))


def test_a_secret_for_callbacks_of_no_backend_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="for no backend"):
        read_checks(settings(callbacks={"replicat": {"key": NEW}}))


@pytest.mark.parametrize(
    "server",
    [
        {"webhooks": {"shop": {"url": URL}}},
        {"webhooks": {"shop": {"url": URL, "key": "whsec_short"}}},
        {"callbacks": {"replicate": {"key": "no secret"}}},
        {"callbacks": {"nobody": {"key": NEW}}},
    ],
)
def test_a_server_with_a_secret_that_cannot_be_used_does_not_start(server: Any) -> None:
    with pytest.raises(ConfigurationError):
        build_app(settings(**server))


def test_only_who_signs_and_has_a_secret_or_keys_is_checked() -> None:
    checks = read_checks(settings(callbacks={"replicate": {"key": NEW}}))

    assert {name for name, each in checks.items() if each is not None} == {"fal", "replicate"}


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "https://user:word@shop.example/",
        "https://",
        "shop.example",
        "https://shop.example/#part",
    ],
)
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"webhooks\.shop\.url"):
        settings(webhooks={"shop": {"url": url, "key": NEW}})


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{NEW}\n{OLD}\n")
    found = settings(
        webhooks={"shop": {"url": URL, "key_file": str(file)}, "bad": {"url": URL, "key": OLD}},
        callbacks={"replicate": {"key_env": "LC_HOOK"}},
    )
    monkeypatch.setenv("LC_HOOK", "whsec_cmVwbGljYXRlIHNlY3JldCBpcyBhbHNvIGxvbmc=")

    said = f"{found!r} {found.shown()} {found.without_keys(f'{NEW} | {OLD}')}"

    for secret in (NEW, OLD, "cmVwbGljYXRl"):
        assert secret not in said
    assert {each.get_secret_value() for each in found.secrets()} >= {NEW, OLD}
    assert "LC_HOOK" not in found.build_environment()


def test_config_check_finds_what_is_wrong_with_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        f'[server.webhooks.shop]\nurl = "{URL}"\nkey_env = "SHOP_HOOK"\n'
        f'[server.webhooks.other]\nurl = "{URL}"\nkey_file = "secrets/other"\n'
        f'[server.callbacks.replicate]\nkey = "{NEW}"\n'
    )
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(file))

    said = "\n".join(finding.text for finding in check().findings)

    assert f"{file}:3: server.webhooks.shop.key_env: the variable SHOP_HOOK is not set" in said
    assert f"{tmp_path}/secrets/other cannot be read" in said
    assert f"{file}:8: this file contains a key" in said
    assert NEW not in said


@pytest.mark.parametrize("public", ["https://video.example.com", "https://video.example.com/"])
def test_a_backend_learns_where_its_provider_may_say_that_it_has_news(public: str) -> None:
    found = settings(public_url=public).backend_settings("fal")

    assert found.callback_url == "https://video.example.com/v1/webhooks/fal"
    assert settings().backend_settings("fal").callback_url is None


@pytest.mark.parametrize("is_reloaded", [False, True])
async def test_a_callback_lets_a_provider_be_polled_at_once(
    monkeypatch: pytest.MonkeyPatch, is_reloaded: bool
) -> None:
    monkeypatch.setattr(hints, "LEAST_SECONDS", 0.01)
    with ReplicateSimulator() as simulator:
        found = load_settings(
            backends={
                "replicate": {
                    "base_url": simulator.url,
                    "key": "a-key-0123456789",
                    "options": {"poll_seconds": 600},
                }
            },
            server={"public_url": "https://video.example.com"},
        )
        app = build_app(found)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as http,
            asyncio.timeout(60),
        ):
            host: ClientHost = app.state.context.host
            request = VideoRequest(prompt="a cat", model="replicate/wan-video/wan-2.2-t2v-fast")
            job = await host.call(lambda client: client.start(request))
            job_id = job.id
            if is_reloaded:  # the job stays with the client before
                await host.replace(VideoClient(settings=found))
            while not job.status.is_terminal:
                if job.ref is not None:
                    body = {"id": job.ref.operation_id, "status": "succeeded"}
                    answer = await http.post("/v1/webhooks/replicate", json=body)
                    assert answer.status_code == 204
                await asyncio.sleep(0.02)
                job = await host.call(lambda client: client.get(job_id))

    assert job.status == "completed"
