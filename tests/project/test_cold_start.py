"""What a start loads, asked of fresh interpreters."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import media_agent
from media_agent.errors import InvalidRequestError, error_classes
from media_agent_schemas import BackendEvent

TORCH = {"torch", "safetensors", "diffusers", "transformers"}
HEAVY = {
    "av",
    "numpy",
    "PIL",
    "dbos",
    "mcp",
    "mcp_types",
    "fastapi",
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "c2pa",
}
OF_SOME_CALLS = {"cryptography", "httpx", "httpx_secure", "limits", "mcp", "rich", "tenacity"}
IDLE = """
import asyncio
from media_agent.config.settings import load_settings
from media_agent.server.app import build_app

async def answer():
    app, sent = build_app(load_settings()), []
    call = {"type": "http", "method": "GET", "path": "/health", "query_string": b"", "headers": []}

    async def send(message):
        sent.append(message)

    async with app.router.lifespan_context(app):
        await app(call, None, send)
    assert sent[0]["status"] == 200, sent

asyncio.run(answer())
"""


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules in memory after running `code` in a fresh interpreter."""
    return {name.split(".")[0] for name in modules_after(code)}


def modules_after(code: str) -> set[str]:
    """Return all modules in memory after running `code` in a fresh interpreter."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(result.stderr.splitlines()[-1]))


def test_the_schemas_load_no_torch_and_nothing_heavy() -> None:
    loaded = loaded_after("import media_agent_schemas")

    assert "pydantic" in loaded
    assert loaded & (TORCH | HEAVY) == set()


def test_the_package_loads_nothing_until_a_name_is_asked_for() -> None:
    alone = loaded_after("import media_agent")
    client = loaded_after("from media_agent import VideoClient")

    assert alone & (TORCH | HEAVY | {"pydantic", "asyncio", "media_agent_schemas"}) == set()
    assert "pydantic" in client
    assert client & (TORCH | HEAVY | {"httpx", "yaml"}) == set()


def test_a_name_that_the_package_does_not_have_is_said() -> None:
    with pytest.raises(ImportError, match="Kamera"):
        exec("from media_agent import Kamera")


@pytest.mark.parametrize("name", media_agent.__all__)
def test_every_public_name_of_the_package_is_there(name: str) -> None:
    assert getattr(media_agent, name).__name__ == name


def test_every_error_and_every_event_is_imported_from_the_package() -> None:
    events = get_args(get_args(BackendEvent)[0])
    needed = {error.__name__ for error in error_classes()} | {event.__name__ for event in events}

    assert needed <= set(media_agent.__all__)
    assert media_agent.InvalidRequestError is InvalidRequestError
    assert set(dir(media_agent)) == set(media_agent.__all__)


def test_every_module_of_the_core_loads_without_torch() -> None:
    loaded = loaded_after(
        "import importlib, pkgutil, media_agent\n"
        "for module in pkgutil.walk_packages(media_agent.__path__, 'media_agent.'):\n"
        "    module.name.endswith('__main__') or importlib.import_module(module.name)"
    )

    assert loaded & TORCH == set()


def test_the_command_line_starts_without_anything_heavy() -> None:
    loaded = loaded_after(
        "import sys\n"
        "from media_agent.cli import main\n"
        "sys.argv = ['media-agent', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )

    assert "cyclopts" in loaded
    assert loaded & (TORCH | HEAVY) == set()


def test_an_idle_server_has_loaded_nothing_that_only_some_calls_need() -> None:
    modules = modules_after(IDLE)
    loaded = {name.split(".")[0] for name in modules}

    assert "fastapi" in loaded
    assert loaded & (TORCH | OF_SOME_CALLS | {"av", "numpy", "PIL", "dbos", "yaml"}) == set()
    assert {name for name in modules if name.startswith("media_agent.tools")} == set()


def test_discovery_finds_both_backends_and_loads_no_torch() -> None:
    loaded = loaded_after(
        "from media_agent.registry.registry import Registry\n"
        "names = Registry.discover().names()\n"
        "assert {'sandbox', 'magi'} <= set(names), names"
    )

    assert "media_agent_magi" in loaded
    assert loaded & TORCH == set()


@pytest.mark.parametrize("package", ["media_agent", "media_agent_schemas", "media_agent_magi"])
def test_an_installed_package_says_that_it_is_typed(package: str) -> None:
    spec = importlib.util.find_spec(package)

    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").exists()
