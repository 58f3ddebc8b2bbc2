"""The provider of the how-to works as it stands there."""

import asyncio
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent_hosted import providers
from media_agent_hosted.plugin import provider_specs
from media_agent_schemas.request import VideoRequest

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "add-a-hosted-provider.md"
FILE = re.compile(
    r"^```(?:python|yaml)\n# adapters/media_agent_hosted/providers/(\S+)\n(.*?)^```", re.S | re.M
)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Write the files of the page, and let their folder be one of the providers."""
    for name, text in FILE.findall(PAGE.read_text("utf-8")):
        path = tmp_path / "providers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    folders = [*providers.__path__, str(tmp_path / "providers")]
    monkeypatch.setattr(providers, "__path__", folders)
    yield f"{providers.__name__}.acme"
    for name in [name for name in sys.modules if name.startswith(f"{providers.__name__}.acme")]:
        del sys.modules[name]


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("completed", "job.completed"),
        ("failed", "generation_failed"),
        ("withheld", "content_rejected"),
    ],
)
async def test_the_provider_of_the_page_is_offered_and_makes_a_video(
    acme: str, tmp_path: Path, outcome: str, end: str
) -> None:
    assert "acme" in {spec.name for spec in provider_specs()}
    simulator: Any = import_module(f"{acme}.simulator").AcmeSimulator
    backend_class: Any = import_module(f"{acme}.backend").AcmeBackend

    with simulator(outcome=outcome) as running:
        settings = BackendSettings(tmp_path, base_url=running.url, key=SecretStr("any-key"))
        backend = backend_class(settings, sleep=no_sleep)
        asked = VideoRequest(model="acme/acme-1", prompt="a fox", duration=3)
        plan = negotiate(asked, backend.capabilities(), draw_seed=lambda: 7)
        last: Any = (await events_of(backend, await backend.submit(plan.request, key="job-1")))[-1]

    assert end in (last.type, last.error.code if last.type == "job.failed" else None)
    assert running.accepted == 1
    assert running.calls("submit")[0].json()["duration"] == 3
