"""A hosted backend is offered because its folder is there."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.errors import ModelRetiredError, UnsupportedRequestError
from media_agent.registry.registry import Registry
from media_agent.routing.listing import list_all
from media_agent_hosted import providers
from media_agent_hosted.plugin import media_agent_backends, provider_specs
from media_agent_schemas.request import VideoRequest

FOLDERS = sorted(
    path.name for path in Path(providers.__path__[0]).iterdir() if (path / "__init__.py").is_file()
)
SPECS = {spec.name: spec for spec in provider_specs()}


def test_every_folder_of_a_provider_offers_one_backend_and_http_is_offered_besides() -> None:
    offered = {spec.name for spec in media_agent_backends() if spec.absent is None}

    assert offered == {name.replace("_", "-") for name in FOLDERS} | {"http"}


@pytest.mark.parametrize(
    "name",
    ["openai", "openai/sora-2", "sora-2", "azure-openai", "nova-reel", "amazon.nova-reel-v1"],
)
@pytest.mark.anyio
async def test_a_service_that_ended_is_known_by_name(name: str, tmp_path: Path) -> None:
    request = VideoRequest(prompt="a fox", model=name)

    async with VideoClient(settings=Settings(data_dir=tmp_path)) as client:
        with pytest.raises(ModelRetiredError, match="ended on 2026") as caught:
            await client.plan(request)

    assert caught.value.hint


@pytest.mark.parametrize("name", ["genmo", "genmo/mochi-1", "sand-ai", "pika"])
@pytest.mark.anyio
async def test_a_service_that_is_not_supported_says_why_and_what_to_use(
    name: str, tmp_path: Path
) -> None:
    request = VideoRequest(prompt="a fox", model=name)

    async with VideoClient(settings=Settings(data_dir=tmp_path)) as client:
        with pytest.raises(UnsupportedRequestError, match="not supported, because") as caught:
            await client.plan(request)

    assert "fal/" in str(caught.value.hint)


def test_the_list_of_backends_says_what_is_not_supported(tmp_path: Path) -> None:
    listing = list_all(Registry(), Settings(data_dir=tmp_path))

    said = "\n".join(listing.notes)
    assert all(name in said for name in ("Genmo's own API", "Sand AI's own API", "Pika's own API"))
    assert not any("Genmo" in problem for problem in listing.problems)


def test_a_section_may_have_the_name_of_a_service_that_ended() -> None:
    registry = Registry(kinds={"openai": "openai-compatible"})

    assert registry.spec("openai") is registry.specs["openai-compatible"]
    assert "openai" not in Registry().names()


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_folder_says_of_its_provider_is_there(folder: str) -> None:
    spec = import_module(f"{providers.__name__}.{folder}").SPEC

    assert spec.simulator is not None
    module, _, name = spec.simulator.partition(":")
    assert module.startswith(f"{providers.__name__}.{folder}.")
    assert getattr(import_module(module), name).name == spec.name
    assert spec.catalogue is None or spec.catalogue.is_file()


def test_to_offer_them_loads_neither_a_network_nor_a_table() -> None:
    code = (
        "from media_agent_hosted.plugin import media_agent_backends\n"
        "media_agent_backends()\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert {"httpx", "yaml", "av"}.isdisjoint(json.loads(said.stdout))
