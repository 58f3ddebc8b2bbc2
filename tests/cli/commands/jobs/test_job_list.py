"""The list of jobs on the command line: a table for people, lines for programs, names cut short."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.cli.commands.jobs.job_list import format_status
from media_agent.ledger.state import JobOptions
from media_agent_schemas import Artifact, JobCompleted, JobStatus, VideoMetadata
from tests.jobs.housekeeping.data_folder import DataFolder
from tests.ledger.samples import NOW, job, plan

FACTS = VideoMetadata(width=64, height=64, fps=24, frames=816, duration=34.0, codec="h264")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataFolder]:
    """A data folder with a labelled endless video, a failed job and one whose process is gone."""
    folder = DataFolder(tmp_path / "data")
    endless = plan("a fox in the snow").request.model_copy(
        update={"endless": True, "num_frames": None}
    )
    planned = plan(cost=0.45).model_copy(update={"request": endless})
    kept = job("20260102-030405-aaaa").model_copy(update={"request": endless, "plan": planned})
    folder.ledger.jobs.create(kept, JobOptions((planned,), label="trailer"))
    folder.ledger.submissions.record_intent(kept.id, 0, NOW)
    video = Artifact(path=str(tmp_path / "a.mp4"), metadata=FACTS)
    folder.ledger.events.append(kept.id, JobCompleted(artifacts=(video,)), NOW)
    folder.keep("20260101-030405-bbbb", JobStatus.FAILED, days=1)
    folder.keep("20251230-030405-cccc", JobStatus.QUEUED, days=3)
    yield folder
    folder.ledger.close()


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["jobs", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo", "data")
def test_the_table_shows_local_times_the_delivered_length_and_the_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heads, first, failed, gone = run("list", capsys=capsys)

    assert heads.split() == ["DATE", "STATUS", "MODEL", "LENGTH", "COST", "LABEL", "ID", "PROMPT"]
    words = "2026-01-02 12:04 completed b/m 34.0 s ~0.45 USD trailer 20260102-030405-aaaa"
    assert first.split() == [*words.split(), "a", "fox", "in", "the", "snow"]
    assert "failed" in failed
    assert "queued (its process is gone; use jobs resume)" in gone


@pytest.mark.usefixtures("data", "_in_tokyo")
def test_programs_get_a_small_line_a_job_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list", "--json", "--limit", "1"]) == 0
    said = json.loads(capsys.readouterr().out)

    (line,) = said["data"]
    assert said["next"] == line["id"] == "20260102-030405-aaaa"
    assert line["created_at"] == "2026-01-02T03:04:05Z"
    assert (line["seconds"], line["cost_usd"], line["label"]) == (34.0, 0.45, "trailer")
    assert len(json.dumps(line)) < 600


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["--status", "failed"], ["bbbb"]),
        (["--status", "failed", "--status", "completed"], ["aaaa", "bbbb"]),
        (["--label", "trailer"], ["aaaa"]),
        (["--backend", "b/m", "--since", "2026-01-01"], ["aaaa", "bbbb"]),
        (["--backend", "fal"], []),
        (["--limit", "2"], ["aaaa", "bbbb"]),
        (["--before", "20260101"], ["cccc"]),
        (["--since", "1h"], []),
    ],
)
def test_flags_narrow_the_list(
    flags: list[str], found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "list", "--json", *flags]) == 0

    data = json.loads(capsys.readouterr().out)["data"]
    assert [line["id"][-4:] for line in data] == found


@pytest.mark.usefixtures("data")
def test_where_the_list_goes_on_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list", "--limit", "2"]) == 0
    assert "--before 20260101-030405-bbbb continues" in capsys.readouterr().err

    assert main(["jobs", "list", "--limit", "3"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("data")
def test_the_list_goes_on_behind_a_job_that_was_removed_since(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["jobs", "rm", "20260101-030405-bbbb"]) == 0
    capsys.readouterr()

    _, line = run("list", "--before", "20260101-030405-bbbb", capsys=capsys)

    assert "20251230-030405-cccc" in line


@pytest.mark.usefixtures("data")
def test_any_number_of_jobs_may_be_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run("list", "--limit", str(10**30), capsys=capsys)) == 4


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", ["20260102-030405-aaaa", "20260102", "last"])
def test_a_job_may_be_named_in_short(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run("show", name, capsys=capsys)

    assert lines[0].split() == ["job", "20260102-030405-aaaa"]
    assert "length    34.00 s" in lines


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    "command",
    [
        ["jobs", "show"],
        ["jobs", "resume"],
        ["jobs", "reconcile"],
        ["jobs", "cancel"],
        ["jobs", "rm"],
        ["steer"],
        ["finish"],
        ["branch"],
        ["extend"],
    ],
    ids=" ".join,
)
def test_every_command_refuses_a_beginning_of_several_and_names_them(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = ["a cow"] if command[0] in ("steer", "branch", "extend") else []

    assert main([*command, "2026", *prompt]) == 2

    said = capsys.readouterr().err
    assert "'2026' begins the ids of several jobs" in said
    assert "one of 20260102-030405-aaaa, 20260101-030405-bbbb" in said


def test_a_file_goes_before_a_job_whose_id_begins_like_its_name(
    data: DataFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("2026").write_bytes(b"no video")

    assert main(["extend", "2026", "a cow", "--backend", "sandbox"]) != 0

    assert "begins the ids" not in capsys.readouterr().err
    assert len(data.ledger.jobs.list()) == 3


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--limit", "0"], "--limit 0 is not at least 1"),
        (["--since", "soon"], "neither a span such as 7d"),
        (["--before", "nobody"], "unknown job 'nobody'"),
        (["--status", "lost"], "status"),
    ],
)
def test_impossible_flags_are_refused(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "list", *flags]) != 0

    assert said in capsys.readouterr().err


def test_a_job_that_is_worked_on_is_not_said_to_be_lost(data: DataFolder) -> None:
    (line,) = [line for line in data.ledger.jobs.list() if line.status is JobStatus.QUEUED]

    with data.ledger.owners.claim(line.id):
        assert format_status(line, data.ledger) == "queued"


def test_a_job_of_workers_waits_for_one(data: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_JOBS__RUNNER", "dbos")
    (line,) = [line for line in data.ledger.jobs.list() if line.status is JobStatus.QUEUED]

    assert format_status(line, data.ledger) == "queued (waits for a worker)"
