"""The commands that only look."""

import io
import json
import sys

import pytest

from media_agent.cli import main
from media_agent_schemas.export import NAMES, build_json_schema


@pytest.fixture
def job_id(capsys: pytest.CaptureFixture[str]) -> str:
    """A finished job."""
    arguments = ["generate", "a cat", "--backend", "sandbox", "--size", "64x64", "--duration", "1"]
    assert main([*arguments, "--seed", "0", "--out", "a.mp4", "--json"]) == 0
    return str(json.loads(capsys.readouterr().out)["id"])


def test_jobs_are_listed_for_people_and_for_programs(
    job_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "list"]) == 0
    for_people = capsys.readouterr().out
    assert main(["jobs", "list", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]

    assert job_id in for_people
    assert "completed" in for_people
    assert " 1.0 s " in for_people
    assert [(job["id"], job["status"]) for job in data] == [(job_id, "completed")]


def test_without_jobs_the_list_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {"data": [], "next": None}


def test_a_job_is_shown_for_people_and_for_programs(
    job_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "show", job_id]) == 0
    for_people = capsys.readouterr().out
    assert main(["jobs", "show", job_id, "--json"]) == 0
    job = json.loads(capsys.readouterr().out)

    assert "a cat" in for_people
    assert "a.json" in for_people
    assert (job["id"], job["status"]) == (job_id, "completed")


def test_a_job_that_is_not_there_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "show", "nothing"]) == 15

    assert "unknown job 'nothing'" in capsys.readouterr().err


def test_backends_are_listed_with_what_they_can_and_how_far_they_were_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["backends"]) == 0
    for_people = capsys.readouterr().out
    assert main(["backends", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert "sandbox/slate" in for_people
    assert "simulator" in for_people
    slate = next(
        capabilities for capabilities in found["data"] if capabilities["backend"] == "sandbox"
    )
    assert (slate["model"], slate["verification"]["level"]) == ("slate", "simulator")


@pytest.mark.parametrize("name", ["VideoRequest", "videorequest", "video_request.json"])
def test_a_schema_is_printed_by_any_of_its_names(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", name]) == 0

    assert json.loads(capsys.readouterr().out) == build_json_schema("VideoRequest")


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_can_be_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0

    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org")


def test_an_unknown_schema_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "VideoRequst"]) == 2

    assert "did you mean VideoRequest?" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["genrate", "a cat"]) == 2

    assert '"generate"' in capsys.readouterr().err


def test_the_help_of_generate_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--help"]) == 0

    said = capsys.readouterr().out
    flags = ["shot", "backend", "duration", "seed", "size", "fps", "out", "sheet", "policy"]
    for flag in [*flags, "option", "allow-unknown-words", "overwrite", "json"]:
        assert f"--{flag}" in said


def test_a_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    assert capsys.readouterr().out.strip()


def test_letters_that_a_terminal_cannot_write_are_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video = ["ein Füchslein", "--backend", "sandbox", "--duration", "0.2", "--size", "64x64"]
    assert main(["generate", *video, "--out", "a.mp4", "--json"]) == 0
    job = json.loads(capsys.readouterr().out)["id"]
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))

    for_people = [main(["jobs", "list"]), main(["jobs", "show", job]), main(["plan", *video])]
    for_programs = [
        main([*command, "--json"])
        for command in (["jobs", "show", job], ["jobs", "resume", job], ["plan", *video])
    ]

    assert for_people == for_programs == [0, 0, 0]
    assert b"F\\xfcchslein" in written.getvalue()
    assert written.getvalue().count(b"F\\u00fcchslein") >= 3
