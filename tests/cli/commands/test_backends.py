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


def test_the_table_has_one_row_a_model_however_long_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["backends"]) == 0

    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["BACKEND/MODEL"] == ["FROM", "LONGEST", "PRICE", "CHECKED", "READY"]
    slate = ["text", "endless", "free", "simulator", "yes"]
    assert rows["sandbox/slate"] == slate
    assert rows["a-name-that-is-much-longer-than-any-column-of-the-table-can-be/slate"] == slate
    assert rows["final/slate"] == ["text", "endless", "$0.50/s", "simulator", "yes"]
    program = ["text", "5", "s", "free", "sheet-only", "needs", "a", "program"]
    assert rows["mine/program"] == program
    assert [row for name, row in rows.items() if "/" in name and len(row) < 5] == []


def test_a_backend_without_models_yet_is_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends"]) == 0

    said = capsys.readouterr().out
    assert "\ndiffusers has no model yet (get one: media-agent models fetch REPOSITORY" in said
    assert "problem:" not in said


def test_a_backend_of_several_models_is_a_table_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "fal"]) == 0

    heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.startswith("BACKEND/MODEL")
    assert len(rows) > 5
    assert all(row.startswith(("fal/", "* read more than")) for row in rows)


def test_one_backend_is_shown_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "final"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("final/slate (kind sandbox)")
    assert "--option fail_at" in said
    assert "mine" not in said


def test_a_model_is_shown_with_what_a_request_may_say_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["backends", "kling/kling-v1"]) == 0
    assert main(["backends", "kling/kling-v3"]) == 0

    said = capsys.readouterr().out
    assert "also takes: negative prompt, camera (pan_left, " in said
    assert "also takes: up to 6 shots, negative prompt, audio or none\n" in said


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


def rows_of(said: str) -> list[str]:
    """Return the models of a table."""
    return [line.split()[0] for line in said.splitlines() if "/" in line.split()[0]][1:]


def test_the_models_of_a_backend_stand_together_under_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["backends"]) == 0

    lines = capsys.readouterr().out.splitlines()
    (title,) = [number for number, line in enumerate(lines) if line.startswith("fal: ")]
    many = int(lines[title].split()[1])
    assert many > 5
    assert all(line.startswith("fal/") for line in lines[title + 1 : title + 1 + many])


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--provider", "xai", "--provider", "final"], {"xai", "final"}),
        (["--mode", "extend", "--provider", "fal", "--provider", "final"], {"fal", "final"}),
        (["--max-price", "0.06", "--mode", "image_to_video", "--provider", "fal"], {"fal"}),
    ],
)
def test_a_list_can_be_narrowed(
    arguments: list[str], wanted: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backends", *arguments]) == 0
    found = rows_of(capsys.readouterr().out)
    assert main(["backends", *arguments, "--json"]) == 0
    same = json.loads(capsys.readouterr().out)["data"]

    assert {name.partition("/")[0] for name in found} <= wanted
    assert found == [f"{each['backend']}/{each['model']}" for each in same]


def test_a_price_that_is_unknown_is_above_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "--max-price", "1000", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)["data"]
    assert found
    assert all(each["estimate"]["cost_usd"] is not None for each in found)


def test_all_offers_of_a_model_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "wan-2.7", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)["data"]
    assert {each["offer_of"] for each in found} == {"wan-2.7"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mode", "images"], "unknown mode 'images' (did you mean image?"),
        (["--provider", "fel"], "unknown backend 'fel' (did you mean fal?"),
        (["--max-price", "-1"], "--max-price -1 is not an amount"),
        (["--max-price", "cheap"], "--max-price 'cheap' is not a number"),
    ],
)
def test_what_narrows_nothing_is_refused_with_the_nearest(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backends", *arguments]) != 0

    assert said in capsys.readouterr().err
