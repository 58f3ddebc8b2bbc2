"""The promises of the repository itself: sizes, targets, fragments, decisions, unfinished work."""

import importlib.util
import re
import stat
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("media_agent", "schemas", "backends", "adapters", "benchmarks", "tools", "tests")
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md")
    for path in ROOT.glob(pattern)
)
FRAGMENT_KINDS = {"added", "changed", "fixed", "removed"}
MEBIBYTE = 2**20


def test_all_weights_together_take_at_most_20_megabytes() -> None:
    weights = list(
        (ROOT / "backends" / "media_agent_magi" / "tiny" / "weights").glob("*.safetensors")
    )

    assert weights
    assert sum(path.stat().st_size for path in weights) <= 20_000_000


def test_the_committed_golden_data_takes_at_most_16_megabytes() -> None:
    golden = [path for path in (ROOT / "tests" / "magi" / "golden").rglob("*") if path.is_file()]

    assert golden
    assert sum(path.stat().st_size for path in golden) <= 16 * MEBIBYTE


def test_no_code_is_marked_as_unfinished() -> None:
    marks = re.compile("|".join(("NotImplemented" + "Error", r"\bTO" + r"DO\b", r"\bFIX" + "ME")))

    unfinished = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in CODE_FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if marks.search(line)
    ]

    assert unfinished == []


def test_nobody_asks_pyav_for_the_data_beside_a_frame() -> None:
    # PyAV frees the names in it twice, which ends the process at some later time, and raises where
    # it does not know a kind. `media_agent/ingest/orientation.py` reads the file instead.
    asking = [
        str(path.relative_to(ROOT))
        for folder in ("media_agent", "schemas", "backends", "adapters", "benchmarks", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(r"side_?data", path.read_text(encoding="utf-8"), re.IGNORECASE)
    ]

    assert asking == []


def test_a_decision_fits_on_a_page_and_says_context_choice_and_consequences() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))

    assert [path.name[:4] for path in decisions] == [
        f"{number:04d}" for number in range(1, len(decisions) + 1)
    ]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60, path.name
        for heading in ("## Context", "## Choice", "## Consequences"):
            assert heading in text, f"{path.name} lacks {heading}"


def test_a_changelog_fragment_is_one_sentence_of_a_known_kind() -> None:
    for path in sorted((ROOT / "changelog.d").glob("*.md")):
        text = path.read_text(encoding="utf-8").strip()
        kind = path.name.removesuffix(".md").rpartition(".")[2]
        assert kind in FRAGMENT_KINDS, path.name
        assert text.endswith("."), path.name
        assert "\n\n" not in text, path.name


def test_every_make_command_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))
    named = {
        target
        for path in PAGES
        for target in re.findall(r"(?m)(?:`|^|&& )make ([a-z-]+)", path.read_text("utf-8"))
    }

    assert {"demo", "test", "check", "bench"} <= named
    assert named - targets == set()


def test_every_module_that_a_page_runs_can_be_run() -> None:
    named = {
        module
        for path in PAGES
        for module in re.findall(r"python -m (media_agent[\w.]*)", path.read_text("utf-8"))
    }

    assert named
    for module in sorted(named):
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        if spec.submodule_search_locations is not None:
            assert importlib.util.find_spec(f"{module}.__main__") is not None, module


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_of_ours_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    dead = [
        link for link in links if "://" not in link and not (page.parent / link).resolve().exists()
    ]

    assert dead == []


def test_continuous_integration_runs_the_test_command_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    commands = [
        line
        for line in script.read_text(encoding="utf-8").splitlines()
        if not line.startswith(("#", "set ", "cd "))
    ]

    assert script.stat().st_mode & stat.S_IXUSR
    assert commands == ["exec make test </dev/null"]
