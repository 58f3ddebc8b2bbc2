"""What exists is documented: an undocumented code, event, setting or command fails here."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from media_agent.config.backend_section import BackendSection
from media_agent.config.server_section import ServerSection
from media_agent.config.settings import Settings
from media_agent.config.sources import PREFIX
from media_agent.error_codes import OUTCOMES
from media_agent.errors import error_classes
from media_agent_magi.world.captions import WORDS
from media_agent_schemas import events
from media_agent_schemas.export import NAMES

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md")
    for path in ROOT.glob(pattern)
)


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_every_error_class_has_a_row_in_the_table_of_outcomes() -> None:
    assert {error_class.code for error_class in error_classes()} == set(OUTCOMES)


@pytest.mark.parametrize("code", sorted(OUTCOMES))
def test_every_error_code_is_documented_with_its_numbers(code: str) -> None:
    outcome = OUTCOMES[code]

    assert f"| `{code}` | {outcome.exit_code} | {outcome.http_status} |" in page("errors.md")


def test_the_error_page_names_no_code_that_does_not_exist() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", page("errors.md"), flags=re.MULTILINE))

    assert documented == set(OUTCOMES)


def test_every_event_type_is_documented() -> None:
    union, _ = get_args(events.BackendEvent)
    types = {event.model_fields["type"].default for event in get_args(union)}
    documented = set(re.findall(r"^\| `(\w+\.\w+)` \|", page("events.md"), flags=re.MULTILINE))

    assert documented == types


def test_every_setting_is_documented_with_its_variable() -> None:
    text = page("settings.md")

    for name in Settings.model_fields:
        assert f"`{name}`" in text
        assert name == "backends" or f"`{PREFIX}{name.upper()}`" in text
    for name in BackendSection.model_fields:
        assert f"`backends.NAME.{name}`" in text
    for name in ServerSection.model_fields:
        assert f"`server.{name}`" in text


def test_every_wire_type_with_a_schema_is_listed_with_the_commands() -> None:
    for name in NAMES:
        assert f"`{name}`" in page("cli.md")


def test_the_page_of_help_texts_is_current() -> None:
    assert page("cli-help.txt") == load_tool("cli_help").help_page(), "run: make snapshots"


def test_every_command_and_every_flag_of_it_is_documented() -> None:
    for said in page("cli-help.txt").split("$ media-agent")[1:]:
        command, _, help_text = said.partition(" --help\n")
        if "─ Commands ─" in help_text:
            continue
        flags = set(re.findall(r"^│ (--[a-z-]+)", help_text, flags=re.MULTILINE))
        section = page("cli.md").partition(f"## `media-agent{command}")[2].partition("\n## ")[0]
        assert section, f"cli.md has no section on media-agent{command}"
        assert {flag for flag in flags if f"`{flag}" not in section} == set()


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def core_folders() -> list[Path]:
    core = ROOT / "media_agent"
    return [core, *(path.parent for path in sorted(core.rglob("*/__init__.py")))]


def words_on_the_map(folder: Path) -> set[str]:
    """Return the words of the map's entry for a folder, which ends where the next one begins."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    lines = text[text.index("media_agent/  ") : text.index("schemas/media_agent_schemas/")]
    if folder == ROOT / "media_agent":
        return set(re.findall(r"\w+", lines))
    entries = iter(re.split(r"(?m)^(?= *[a-z0-9]+/ )", lines))
    for depth, name in enumerate(folder.relative_to(ROOT / "media_agent").parts, 1):
        entry = next(each for each in entries if each.startswith(f"{'  ' * depth}{name}/ "))
    return set(re.findall(r"\w+", entry))


@pytest.mark.parametrize("folder", core_folders(), ids=lambda path: path.name)
def test_every_module_of_the_core_is_on_the_map(folder: Path) -> None:
    words = words_on_the_map(folder)

    modules = [path.stem for path in sorted(folder.glob("*.py")) if not path.stem.startswith("__")]

    assert [module for module in modules if module not in words] == []


def test_every_test_that_a_page_names_exists() -> None:
    named = {
        reference
        for path in PAGES
        for reference in re.findall(r"tests/[\w/]+\.py::\w+", path.read_text(encoding="utf-8"))
    }

    missing = [reference for reference in sorted(named) if not is_a_test(reference)]

    assert named
    assert missing == []


def test_each_line_of_the_threat_model_names_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    lines = text.partition("| boundary | threat |")[2].partition("\n\n")[0].splitlines()[2:]

    assert len(lines) > 30
    assert [line for line in lines if not re.search(r"`tests/[\w/]+\.py::\w+` \|$", line)] == []


def is_a_test(reference: str) -> bool:
    """Return whether "path::name" is a test function, in a class or not."""
    path, _, name = reference.partition("::")
    if not (ROOT / path).exists():
        return False
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        for node in ast.walk(tree)
    )


def test_every_word_that_magi_tiny_knows_is_documented_and_no_other() -> None:
    listed = [line for line in page("magi-tiny.md").splitlines() if line.startswith(("* ", "  `"))]
    documented = re.findall(r"`([a-z]+)`", "\n".join(listed))

    assert sorted(documented) == sorted(WORDS)
