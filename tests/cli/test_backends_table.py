"""The list of who can make videos."""

import json
from pathlib import Path

import pytest

from media_agent.cli import main

TOML = """
[backends.final]
kind = "sandbox"
options = {price_per_second = 0.5}

[backends.mine]
kind = "command"
[backends.mine.options]
command = ["no-such-program", "{prompt}", "{output}"]
sizes = ["64x48"]
fps = [8]
durations = [5]

[backends.a-name-that-is-much-longer-than-any-column-of-the-table-can-be]
kind = "sandbox"
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "media-agent.toml"
    file.write_text(TOML)
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(file))


def test_the_table_says_what_matters_in_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends"]) == 0

    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["BACKEND/MODEL"] == ["FROM", "LONGEST", "PRICE", "CHECKED", "READY"]
    assert rows["sandbox/slate"] == ["text", "endless", "free", "simulator", "yes"]
    assert rows["final/slate"] == ["text", "endless", "$0.50/s", "simulator", "yes"]
    program = ["text", "5", "s", "free", "sheet-only", "needs", "a", "program"]
    assert rows["mine/program"] == program
    assert [line for line in lines if len(line) > 100 and not line.startswith("problem:")] == []


def test_a_name_too_long_for_its_column_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends"]) == 0

    lines = capsys.readouterr().out.splitlines()
    name = "a-name-that-is-much-longer-than-any-column-of-the-table-can-be/slate"
    assert lines[lines.index(name) + 1].split() == ["text", "endless", "free", "simulator", "yes"]


def test_one_backend_is_shown_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "final"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("final/slate (kind sandbox)")
    assert "--option fail_at" in said
    assert "mine" not in said


def test_one_model_that_does_not_exist_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["backends", "sandbox/slat"]) == 2

    assert "did you mean slate?" in capsys.readouterr().err


def test_programs_get_everything_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "final", "--json"]) == 0

    [slate] = json.loads(capsys.readouterr().out)["data"]
    assert (slate["backend"], slate["kind"], slate["model"]) == ("final", "sandbox", "slate")
    assert slate["estimate"]["cost_usd"] == 0.5 * slate["estimate_seconds_of_video"]


def test_a_kind_that_does_not_exist_is_a_problem_and_harms_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "media-agent.toml").write_text('[backends.final]\nkind = "sandbx"\n')

    assert main(["backends"]) == 0

    said = capsys.readouterr().out
    assert "problem: final: backend final: unknown kind 'sandbx'; did you mean" in said
    assert "sandbox/slate" in said
