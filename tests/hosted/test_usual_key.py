"""A key of the usual variable, which no setting names, stays at its provider's own origin."""

import httpx
import pytest

from media_agent.config.settings import load_settings
from media_agent.errors import BackendUnavailableError, OperationNotFoundError, to_info
from media_agent.testing import events_of
from media_agent_hosted.plugin import media_agent_backends
from media_agent_hosted.providers.fal.backend import FalBackend
from media_agent_schemas.jobs import OperationRef
from tests.hosted.provider_kit import no_sleep

pytestmark = pytest.mark.anyio

SECRET = "fal-usual-key-0123456789"
REF = OperationRef(backend="fal", model="fal-ai/mochi-v1", operation_id="764cabcf")


def settings_of(name, **section):
    spec = next(spec for spec in media_agent_backends() if spec.name == name)
    settings = load_settings(backends={name: section}) if section else load_settings()
    return settings.backend_settings(name, spec)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/x",
        "//evil.example/x",
        "http://queue.fal.run/x",
        "https://queue.fal.run:8443/x",
        "https://queue.fal.run.evil.example/x",
        "https://queue.fal.run@evil.example/x",
        "https://rest.fal.run/x",
    ],
)
async def test_no_redirect_takes_it_elsewhere(target, monkeypatch):
    monkeypatch.setenv("FAL_KEY", SECRET)
    seen = []

    async def redirect(request):
        seen.append(request)
        return httpx.Response(302, headers={"location": target})

    backend = FalBackend(
        settings_of("fal"), transport=httpx.MockTransport(redirect), sleep=no_sleep
    )
    with pytest.raises(BackendUnavailableError, match="the key stays here") as caught:
        await events_of(backend, REF)
    await backend.aclose()

    assert seen[0].headers["authorization"] == f"Key {SECRET}"
    assert {str(request.url.copy_with(path="/", query=None)) for request in seen} == {
        "https://queue.fal.run/"
    }
    assert SECRET not in to_info(caught.value).model_dump_json()


async def test_a_redirect_within_the_origin_keeps_it(monkeypatch):
    monkeypatch.setenv("FAL_KEY", SECRET)
    seen = []

    async def redirect_once(request):
        seen.append(request)
        if len(seen) == 1:
            return httpx.Response(307, headers={"location": "https://queue.fal.run/v2/status"})
        return httpx.Response(404, json={"detail": "Request not found"})

    backend = FalBackend(
        settings_of("fal"), transport=httpx.MockTransport(redirect_once), sleep=no_sleep
    )
    with pytest.raises(OperationNotFoundError):
        await events_of(backend, REF)
    await backend.aclose()

    assert seen[1].url.path == "/v2/status"
    assert seen[1].headers["authorization"] == f"Key {SECRET}"


@pytest.mark.parametrize("name", ["fal", "replicate", "xai", "openai-compatible"])
def test_another_address_does_not_get_it(name, monkeypatch):
    spec = next(spec for spec in media_agent_backends() if spec.name == name)
    monkeypatch.setenv(spec.key_variables[0], SECRET)

    assert settings_of(name, base_url="https://evil.example/v1").key is None
    assert settings_of(name, base_url=f"{spec.key_origin}.evil.example/v1").key is None
    assert settings_of(name, base_url=spec.key_origin).key.get_secret_value() == SECRET
