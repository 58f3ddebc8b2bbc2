"""Who may import whom, read from the source; `lint-imports` checks the chains between packages."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas" / "media_agent_schemas"
CORE = ROOT / "media_agent"
PLUGINS = sorted(
    path for folder in ("backends", "adapters") for path in (ROOT / folder).glob("media_agent_*")
)
LOADED_BY_OTHERS = {
    "accelerate",
    "beautifulsoup4",
    "gguf",
    "httptools",
    "python-multipart",
    "uvloop",
}
PLUGIN_FACE = (
    *("backend", "distribution", "errors", "ingest", "programs", "redact", "storage", "suggest"),
    *("testing", "video"),
)


class Source(NamedTuple):
    """What is looked at of a file: inside functions too."""

    imports: tuple[str, ...]
    """The dotted name of each import."""
    reads: frozenset[str]
    """"os.NAME" for each attribute of `os`, and "getproxies"."""
    calls: frozenset[str]
    """The plain names that are called."""


@cache
def read(path: Path) -> Source:
    imports, reads, calls = [], set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                imports += [alias.name for alias in node.names]
            case ast.ImportFrom():
                assert node.level == 0, f"{path}:{node.lineno} imports relatively"
                assert node.module is not None
                imports += [f"{node.module}.{alias.name}" for alias in node.names]
            case ast.Attribute(value=ast.Name(id="os"), attr=name):
                reads.add(f"os.{name}")
            case ast.Attribute(attr="getproxies"):
                reads.add("getproxies")
            case ast.Call(func=ast.Name(id=name)):
                calls.add(name)
    return Source(tuple(imports), frozenset(reads), frozenset(calls))


def strangers(folder: Path, allowed: tuple[str, ...]) -> list[str]:
    """Return "file: module" for each import in `folder` that is neither stdlib nor allowed."""
    return [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sorted(folder.rglob("*.py"))
        for module in read(path).imports
        if module.split(".")[0] not in sys.stdlib_module_names
        and not any(f"{module}.".startswith(f"{name}.") for name in allowed)
    ]


def test_the_schemas_import_pydantic_and_nothing_else() -> None:
    assert strangers(SCHEMAS, ("media_agent_schemas", "pydantic")) == []


def test_the_torch_engine_knows_torch_and_itself_only() -> None:
    engine = ROOT / "backends" / "media_agent_magi" / "engine"

    assert strangers(engine, ("media_agent_magi.engine", "torch", "safetensors", "numpy")) == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_imports_only_the_plugin_face_of_the_core(plugin: Path) -> None:
    face = {f"media_agent.{module}" for module in PLUGIN_FACE}
    imports = {
        (path.relative_to(ROOT).as_posix(), ".".join(module.split(".")[:2]))
        for path in plugin.rglob("*.py")
        for module in read(path).imports
        if module.split(".")[0] == "media_agent"
    }

    assert {(path, module) for path, module in imports if module not in face} == set()


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_the_init_of_a_plugin_is_one_docstring(plugin: Path) -> None:
    body = ast.parse((plugin / "__init__.py").read_text(encoding="utf-8")).body

    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
    assert isinstance(body[0].value, ast.Constant)


@pytest.mark.parametrize("folder", ["backends", "adapters", "schemas"])
def test_a_folder_of_packages_is_not_a_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        _standardise(re.split(r"[<>=\[ ]", requirement)[0])
        for extra in (
            "local",
            "c2pa",
            "magi",
            "magi-weights",
            "diffusers",
            "cluster",
            "comfyui",
            "gradio",
            "server",
            "mcp",
            "otel",
            "testing",
        )
        for requirement in (*project["dependencies"], *project["optional-dependencies"][extra])
    }

    distributions = packages_distributions()  # which looks through all that is installed

    imported = {
        distribution
        for folder in (SCHEMAS, CORE, *PLUGINS)
        for path in folder.rglob("*.py")
        for name in {module.split(".")[0] for module in read(path).imports}
        if name not in sys.stdlib_module_names and not name.startswith("media_agent")
        for distribution in _distributions_of(distributions.get(name, [name]), declared)
    }

    assert imported == declared - LOADED_BY_OTHERS - {project["name"]}  # its own extras


def _distributions_of(names: list[str], declared: set[str]) -> set[str]:
    """Return which of the distributions of a package are meant; it need not be installed."""
    found = {*map(_standardise, names)}
    return found & declared or {min(found)}


def _standardise(name: str) -> str:
    return name.lower().replace("_", "-")


def test_the_environment_is_read_at_one_place() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in (SCHEMAS, CORE, *PLUGINS)
        for path in folder.rglob("*.py")
        for module in (*read(path).imports, *read(path).reads)
        if module.startswith(("os.environ", "os.getenv", "pydantic_settings.", "getproxies"))
    }

    assert readers == {"media_agent/config/settings.py", "media_agent/environment.py"}


def test_only_the_ledger_numbers_events_and_writes_the_state_of_a_job() -> None:
    writers = {
        path.relative_to(ROOT).as_posix()
        for folder in (CORE, *PLUGINS)
        for path in folder.rglob("*.py")
        if "JobEvent" in read(path).calls
    }

    assert writers == {"media_agent/ledger/events.py"}
