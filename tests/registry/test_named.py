"""A section of the settings is a backend of its own name, whatever works behind it."""

from pathlib import Path
from typing import Any

import pytest

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.builtin.sandbox import SandboxBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError, InvalidRequestError, PluginError
from media_agent.registry.plugins import Discovery, discover
from media_agent.registry.registry import Registry
from media_agent.testing import events_of
from media_agent_schemas import ChangePrompt, ChunkReady, JobCompleted, VideoRequest
from media_agent_schemas.jobs import JobStatus
from media_agent_schemas.records import GenerationRecord

pytestmark = pytest.mark.anyio


def final(tmp_path: Path, model: str | None = None, **options: Any) -> VideoBackend:
    """Return the sandbox under the name of a section."""
    settings = BackendSettings(data_dir=tmp_path, name="final", model=model, options=options)
    return Registry(kinds={"final": "sandbox"}).create("final", settings)


def make_request(**fields: Any) -> VideoRequest:
    known = {"prompt": "a cat", "num_frames": 24, "fps": 12.0, "size": {"width": 32, "height": 32}}
    return VideoRequest.model_validate({"model": "final/slate", "seed": 0, **known, **fields})


async def test_it_says_its_own_name_and_what_is_behind_it(tmp_path: Path) -> None:
    backend = final(tmp_path)

    facts = backend.capabilities()

    assert backend.name == "final"
    assert (facts.backend, facts.kind, facts.model) == ("final", "sandbox", "slate")
    assert isinstance(SandboxBackend(BackendSettings(tmp_path)).capabilities().kind, type(None))


async def test_work_goes_through_with_its_names_and_options(tmp_path: Path) -> None:
    backend = final(tmp_path, price_per_second=1)

    request = make_request(options={"final": {"price_per_second": 2}})
    ref = await backend.submit(request, key="job-1")
    events = await events_of(backend, ref)
    await backend.aclose()

    assert ref.backend == "final"
    assert backend.estimate(request).cost_usd == 4
    assert backend.estimate(make_request()).cost_usd == 2
    tokens = [event.resume for event in events if isinstance(event, ChunkReady)]
    assert {token.backend for token in tokens if token is not None} == {"final"}
    assert isinstance(events[-1], JobCompleted)


async def test_it_resumes_from_a_token_of_its_own(tmp_path: Path) -> None:
    backend = final(tmp_path, fail_at="chunk:1")
    ref = await backend.submit(make_request(), key="job-1")
    events = await events_of(backend, ref)
    token = next(event.resume for event in events if isinstance(event, ChunkReady))

    again = final(tmp_path)
    second = await again.submit(make_request(), key="job-1", resume=token)
    rest = await events_of(again, second)
    await backend.aclose()
    await again.aclose()

    assert [event.index for event in rest if isinstance(event, ChunkReady)] == [1]
    assert isinstance(rest[-1], JobCompleted)


async def test_it_is_steered_and_stopped(tmp_path: Path) -> None:
    backend = final(tmp_path, latency_seconds=60)
    ref = await backend.submit(make_request(), key="job-1")

    await backend.control(ref, ChangePrompt(prompt="a dog"), number=1)
    await backend.cancel(ref)
    events = await events_of(backend, ref)
    await backend.aclose()

    assert events[-1].type == "job.cancelled"


async def test_a_section_can_say_the_model(tmp_path: Path) -> None:
    facts = final(tmp_path, model="slate").capabilities()

    assert facts.models == ("slate",)
    with pytest.raises(InvalidRequestError, match="no model 'slat'"):
        final(tmp_path, model="slat").capabilities()


async def test_one_word_of_the_file_swaps_who_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDIA_AGENT_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    made = []
    for kind in ("sandbox", "other"):
        (tmp_path / "media-agent.toml").write_text(f'[backends.final]\nkind = "{kind}"\n')
        settings = load_settings()
        registry = Registry(two_kinds(), kinds=settings.kinds())
        request = make_request(model="final")
        async with VideoClient(settings=settings, registry=registry) as client:
            made.append(await client.generate(request, out=tmp_path / f"{kind}.mp4"))

    records = [
        GenerationRecord.model_validate_json((tmp_path / f"{kind}.json").read_bytes())
        for kind in ("sandbox", "other")
    ]
    assert [job.status for job in made] == [JobStatus.COMPLETED] * 2
    assert [(record.backend, record.kind) for record in records] == [
        ("final", "sandbox"),
        ("final", "other"),
    ]


def two_kinds() -> Discovery:
    class OtherBackend(SandboxBackend):
        kind = "other"

    other = BackendSpec(name="other", factory=OtherBackend)
    return Discovery({**discover().specs, "other": other})


def test_a_section_needs_a_kind_that_exists() -> None:
    registry = Registry(kinds={"final": "sandbx"})

    assert "final" in registry.names()
    with pytest.raises(ConfigurationError, match="did you mean sandbox") as caught:
        registry.create("final", BackendSettings(Path()))
    assert caught.value.faults[0].place == ("backends", "final", "kind")


def test_a_kind_alone_is_no_backend() -> None:
    registry = Registry()

    assert "command" not in registry.names()
    with pytest.raises(InvalidRequestError, match="kind of backend") as caught:
        registry.create("command", BackendSettings(Path()))
    assert "media-agent.toml" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["sandbox", "fal", "openai-compatible", "magi", "diffusers"])
def test_every_backend_of_ours_is_called_as_its_section(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("torch" if kind in ("magi", "diffusers") else "pydantic")
    settings = BackendSettings(data_dir=tmp_path)

    alone = Registry().create(kind, settings)
    named = Registry(kinds={"final": kind}).create("final", settings)

    assert (alone.name, named.name) == (kind, "final")
    if kind != "diffusers":  # it has no model yet
        facts = named.capabilities()
        assert (facts.backend, facts.kind) == ("final", kind)


def test_a_backend_that_keeps_a_name_of_its_own_is_refused() -> None:
    class Stubborn(SandboxBackend):
        @property
        def name(self) -> str:
            return "stubborn"

    spec = BackendSpec(name="stubborn", factory=Stubborn)
    registry = Registry(Discovery({"stubborn": spec}), kinds={"final": "stubborn"})

    with pytest.raises(PluginError, match="its name is 'stubborn', not 'final'"):
        registry.create("final", BackendSettings(Path()))
