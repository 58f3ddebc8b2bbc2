"""What holds for every test: a busy machine changes nothing, and nobody's own files are touched."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _environment_of_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in os.environ:
        if name.startswith("MEDIA_AGENT_"):
            monkeypatch.delenv(name)
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("MEDIA_AGENT_DATA_DIR", str(base / "data"))
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(base / "no-settings.toml"))
