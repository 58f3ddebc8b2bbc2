"""A hosted backend is offered because its folder is there."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from media_agent_hosted import providers
from media_agent_hosted.plugin import media_agent_backends, provider_specs

FOLDERS = sorted(
    path.name for path in Path(providers.__path__[0]).iterdir() if (path / "__init__.py").is_file()
)
SPECS = {spec.name: spec for spec in provider_specs()}


def test_every_folder_of_a_provider_offers_one_backend_and_http_is_offered_besides() -> None:
    offered = {spec.name for spec in media_agent_backends()}

    assert offered == {name.replace("_", "-") for name in FOLDERS} | {"http"}


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
