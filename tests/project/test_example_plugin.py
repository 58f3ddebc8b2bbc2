"""The example package is what it says: installed as anybody would, listed, routed to, tested."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "backend-plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the package, from a copy of its source."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(EXAMPLE, source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder


@pytest.fixture
def surroundings(installed: Path, tmp_path: Path) -> Mapping[str, str]:
    """The environment of a user who has the package."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    own = os.environ.get("PYTHONPATH", "")
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(part for part in (str(installed), own) if part),
        "MEDIA_AGENT_DATA_DIR": str(tmp_path / "data"),
        "MEDIA_AGENT_CONFIG": str(tmp_path / "media-agent.toml"),
        "OMP_NUM_THREADS": "1",
    }


def run(*arguments: str, surroundings: Mapping[str, str], folder: Path) -> str:
    """Run Python and return what it printed; fails with what it complained of."""
    result = subprocess.run(
        [sys.executable, *arguments],
        env=dict(surroundings),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_installed_backend_is_listed_and_makes_a_video_by_one_word_of_the_settings(
    surroundings: Mapping[str, str], tmp_path: Path
) -> None:
    settings = Path(surroundings["MEDIA_AGENT_CONFIG"])
    settings.write_text('default_backend = "plasma"\n', encoding="utf-8")
    cli = ("-m", "media_agent.cli")

    listed = run(*cli, "backends", "--json", surroundings=surroundings, folder=tmp_path)
    made = run(
        *(*cli, "generate", "a calm sea", "--duration", "1", "--size", "64x36", "--seed", "0"),
        *("--out", "sea.mp4", "--json"),
        surroundings=surroundings,
        folder=tmp_path,
    )

    names = {f"{each['backend']}/{each['model']}" for each in json.loads(listed)["data"]}
    assert "plasma/waves" in names
    job = json.loads(made)
    assert (job["status"], job["plan"]["backend"]) == ("completed", "plasma")
    assert (tmp_path / "sea.json").exists()


def test_the_router_finds_it_best_for_what_no_other_installed_backend_can_do(
    surroundings: Mapping[str, str], tmp_path: Path
) -> None:
    settings = Path(surroundings["MEDIA_AGENT_CONFIG"])
    settings.write_text('[routes.waves]\nallow = ["plasma", "sandbox"]\n', encoding="utf-8")
    asked = ("a calm sea", "--duration", "600", "--route", "waves", "--json", "--all")

    planned = run(
        *("-m", "media_agent.cli", "plan", *asked), surroundings=surroundings, folder=tmp_path
    )

    first = json.loads(planned)["data"][0]
    assert (first["backend"], first["rank"], first["seams"]) == ("plasma", 1, 0)
    assert first["quality"]["opinion_of"] == "the author of media-agent-plasma"


def test_its_own_tests_which_are_the_conformance_kit_pass(
    surroundings: Mapping[str, str], tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")

    said = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"),
        surroundings=surroundings,
        folder=tmp_path,
    )

    assert " passed" in said
    assert "failed" not in said


@pytest.mark.parametrize("name", ["plugin.py", "backend.py"])
def test_it_imports_only_what_a_plugin_may_import(name: str) -> None:
    text = (EXAMPLE / "src" / "media_agent_plasma" / name).read_text(encoding="utf-8")
    imported = {line.split()[1] for line in text.splitlines() if line.startswith("from media_")}

    allowed = {f"media_agent.backend.{module}" for module in ("hookspecs", "local", "protocol")}
    assert imported <= {*allowed, "media_agent_schemas"}
