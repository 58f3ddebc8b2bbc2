"""Disk space on the command line: what is used is shown, what goes is asked about."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent_schemas import JobStatus
from tests.jobs.housekeeping.data_folder import SIZES, DataFolder

COMMAND = [sys.executable, "-m", "media_agent.cli"]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataFolder]:
    folder = DataFolder(tmp_path / "data")
    folder.keep("old-job", days=8)
    folder.keep("new-job")
    folder.keep("lost-job", JobStatus.OUTCOME_UNKNOWN)
    yield folder
    folder.ledger.close()


@pytest.mark.usefixtures("data")
def test_use_is_shown_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["du", "--limit", "1"]) == 0
    said = capsys.readouterr()
    assert main(["du", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)

    heads, _, total = [line.split() for line in said.out.splitlines()]
    assert heads == ["JOB", "STATES", "WORK", "VIDEOS", "OTHER"]
    assert total == ["total", "1.5", "kB", "690", "B", "2.0", "kB", "1.0", "kB"]
    assert "2 smaller jobs" in said.err
    assert numbers["total"] == {"states": 1500, "work": 690, "videos": 2000, "other": 1000}
    assert {"job": "lost-job", "states": 500, "work": 230, "videos": 0} in numbers["data"]


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("command", [["du"], ["jobs", "list"]])
def test_a_limit_below_one_is_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--limit", "-1"]) == 2
    assert "--limit -1 is not at least 1" in capsys.readouterr().err


def test_without_a_terminal_nothing_goes_unless_told(
    data: DataFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune"]) == 2
    said = capsys.readouterr()

    assert "1.5 kB of 2 jobs" in said.out
    assert "nothing was removed: this is no terminal (add --yes)" in said.err
    assert data.left("old-job") == set(SIZES)

    assert main(["prune", "--older-than", "2026-01-01", "--yes"]) == 0
    assert "freed 730 B of 1 jobs" in capsys.readouterr().out
    assert not data.left("old-job")
    assert data.left("new-job") == set(SIZES)


@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("n", False), ("", False)])
def test_a_person_is_asked(data: DataFolder, answer: str, goes: bool) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, f"{answer}\n".encode())

    done = subprocess.run(
        [*COMMAND, "prune"],
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )

    os.close(terminal)
    os.close(controller)
    assert "1.5 kB of 2 jobs" in done.stdout
    assert ("freed 1.5 kB" in done.stdout) is goes
    assert bool(data.left("new-job")) is not goes


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (["--states"], set(SIZES) - {"states/00000001.safetensors"}),
        (["--work"], set()),
        (["--videos"], set(SIZES)),
        (["--videos", "--states"], set(SIZES) - {"states/00000001.safetensors"}),
        (["--max-size", "1GB"], set(SIZES)),
    ],
)
def test_kinds_go_apart(data: DataFolder, flags: list[str], left: set[str]) -> None:
    assert main(["prune", "--yes", *flags]) == 0

    assert data.left("new-job") == left
    assert (data.ledger.jobs.folder("new-job") / "video.mp4").exists() is ("--videos" not in flags)
    assert data.left("lost-job") == set(SIZES)


def test_programs_see_what_would_go(data: DataFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert data.left("new-job") == set(SIZES)
    assert main(["prune", "--json", "--yes"]) == 0
    after = json.loads(capsys.readouterr().out)

    assert (before["removed"], before["freed_bytes"]) == (False, 0)
    assert (after["removed"], after["freed_bytes"]) == (True, 1460)
    assert (
        before["data"]
        == after["data"]
        == [
            {"job": "old-job", "bytes": 730},
            {"job": "new-job", "bytes": 730},
        ]
    )
    assert main(["prune"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("size", ["five", "-1GB", "5XB", ""])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", f"--max-size={size}", "--yes"]) == 2

    assert "is not a size" in capsys.readouterr().err


def test_jobs_are_removed_and_what_stays_is_said(
    data: DataFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "rm", "old-job", "new-j"]) == 0
    said = capsys.readouterr().out

    assert f"old-job: removed, 730 B freed; kept {data.folder}/jobs/old-job/video.mp4" in said
    assert "new-job: removed" in said
    assert main(["jobs", "rm", "lost-job"]) != 0
    assert "may have been paid for" in capsys.readouterr().err
    assert main(["jobs", "rm", "lost-job", "--force", "--videos"]) != 0
    assert "media-agent jobs settle lost-job --usd AMOUNT" in capsys.readouterr().err
    assert main(["jobs", "settle", "lost-job", "--usd", "1"]) == 0
    assert main(["jobs", "rm", "lost-job", "--force", "--videos"]) == 0
    assert data.ledger.jobs.list() == []
    assert main(["jobs", "rm"]) == 2
    capsys.readouterr()
    assert main(["costs", "--since", "2026-01-01", "--by", "model", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["usd"] == 2.0


def test_of_several_jobs_the_others_are_removed_where_one_cannot_be(
    data: DataFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "rm", "lost-job", "old-job", "--json"]) != 0

    answer = capsys.readouterr()
    lost, old = json.loads(answer.out)["data"]
    assert answer.err.startswith("error: lost-job: ")
    assert (lost["job"], "may have been paid for" in lost["error"]["message"]) == ("lost-job", True)
    assert (old["job"], old["freed_bytes"]) == ("old-job", 730)
    assert old["kept"] == [f"{data.folder}/jobs/old-job/video.mp4"]
    assert "old-job" not in [job.id for job in data.ledger.jobs.list()]


@pytest.mark.usefixtures("data")
def test_programs_are_told_only_of_jobs_whose_files_went(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("media_agent.jobs.housekeeping.prune.prune", lambda *_: ())  # all taken

    assert main(["prune", "--json", "--yes"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer == {"data": [], "removed": True, "freed_bytes": 0}
