"""The commands that change where a video goes, while another process makes it and afterwards."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from media_agent.cli import main
from media_agent.cli.progress import ProgressLine
from media_agent.cli.run_job import announce
from media_agent.video.probe import probe
from media_agent_schemas import (
    ChunkReady,
    Estimate,
    JobEvent,
    JobProgressed,
    Plan,
    Policy,
    VideoRequest,
)

SMALL = ["--size", "64x64", "--option", "latency_seconds=1"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")


@pytest.fixture
def endless() -> Iterator[subprocess.Popen[str]]:
    """Make a video without an end in another process."""
    command = [sys.executable, "-m", "media_agent.cli", "generate", "a cat", "--endless", *SMALL]
    with subprocess.Popen(
        [*command, "--out", "a.mp4"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.fixture
def video(capsys: pytest.CaptureFixture[str]) -> str:
    """Make a video of three chunks and return its job."""
    assert main(["generate", "a cat", "--size", "64x64", "--duration", "3", "--json"]) == 0
    return str(json.loads(capsys.readouterr().out)["id"])


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        if word in line:
            return seen
    raise AssertionError(f"it ended without {word!r}: {seen}")


def the_job(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["jobs", "list", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)["data"]
    assert isinstance(job, dict)
    return job


def shots(record: str) -> list[str]:
    return [shot["prompt_sent"] for shot in json.loads(Path(record).read_text())["shots"]]


def test_a_video_of_another_process_is_steered_and_finished(
    endless: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines_until(endless, "chunk 1,")
    job = the_job(capsys)

    assert main(["steer", job["id"], "a dog", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["data"]
    assert row["chunk"] in range(1, 9)
    assert row["said"] == f"prompt changed from chunk {row['chunk'] + 1} on"
    assert (row["job"], row["status"]) == (job["id"], "in_progress")
    lines_until(endless, "on: a dog")
    assert main(["jobs", "resume", job["id"]]) != 0
    assert "endless mode" not in capsys.readouterr().err
    assert main(["finish", job["id"], "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["data"]
    assert re.search(r"ends the video with chunk \d+, or a little", row.pop("said"))
    assert row == {"job": job["id"], "status": "in_progress"}

    _, said = endless.communicate(timeout=60)
    assert endless.returncode == 0, said
    assert main(["jobs", "resume", job["id"]]) == 0
    assert "endless mode" not in capsys.readouterr().err
    assert shots("a.json") == ["a cat", "a dog"]
    assert main(["jobs", "show", job["id"]]) == 0
    assert "on: a dog" in capsys.readouterr().out


def test_a_branch_begins_as_its_video_does_and_is_named_after_its_own_prompt(
    video: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["branch", video, "A horse!", "--at", "2", "--duration", "1"]) == 0

    (made,) = Path("out").glob("a-horse-*-after-2.mp4")
    assert probe(made).frames == 3 * 24
    assert shots(str(made.with_suffix(".json"))) == ["a cat", "A horse!"]
    assert "chunk 3, 72 of 72 frames" in capsys.readouterr().err


def test_a_branch_continues_with_shots(video: str) -> None:
    wanted = ["--shot", "a cow@1", "--shot", "mail@home@1"]

    assert main(["branch", video, *wanted, "--out", "b.mp4"]) == 0

    assert shots("b.json") == ["a cat", "a cow", "mail@home"]


def test_the_video_of_a_job_is_extended_from_its_state(video: str) -> None:
    assert main(["extend", video, "a cow", "--duration", "1", "--out", "b.mp4"]) == 0

    assert probe(Path("b.mp4")).frames == 4 * 24
    assert json.loads(Path("b.json").read_text())["lineage"]["parent_job"] == video


@pytest.mark.parametrize("command", [["extend"], ["branch", "--at", "1"]])
def test_a_continuation_repeated_with_its_key_is_the_same_job(
    command: list[str], video: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *flags = command
    words = [name, video, "a cow", *flags, "--duration", "1", "--idempotency-key", "k"]

    assert main([*words, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main([*words, "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["id"] == first["id"]
    assert main([name, video, "a dog", *flags, "--idempotency-key", "k"]) == 17
    assert main(["jobs", "rm", video]) == 0
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == first["id"]


@pytest.mark.parametrize("command", ["extend", "branch"])
def test_a_continuation_costs_no_more_than_it_may(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paid = ["--backend", "sandbox", "--size", "64x64", "--option", "price_per_second=1"]
    assert main(["generate", "a cat", *paid, "--duration", "1"]) == 0
    words = [command, "last", "a dog", "--duration", "1", "--max-cost"]

    assert main([*words, "1.5"]) == 5
    assert main([*words, "much"]) == 2
    assert main([*words, "-1"]) == 2
    assert "--max-cost" in capsys.readouterr().err.splitlines()[-1]
    assert main([*words, "2"]) == 0


def test_a_file_is_found_in_the_home_folder_as_in_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "video.mp4").write_bytes(b"")

    assert main(["extend", "~/video.mp4", "a cow"]) == 3

    assert "mode = video_extend: sandbox/slate can do text_to_video" in capsys.readouterr().err


def test_a_video_of_a_file_is_extended_by_a_model_that_takes_videos(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("video.mp4").write_bytes(b"")

    code = main(["extend", "video.mp4", "a cow"])

    assert code == 3
    assert "mode = video_extend: sandbox/slate can do text_to_video" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["steer", "nobody", "a dog"], "unknown job 'nobody'", 15),
        (["finish", "nobody"], "unknown job 'nobody'", 15),
        (["branch", "nobody", "a dog"], "unknown job 'nobody'", 15),
        (["extend", "nobody", "a dog"], "nobody is neither a job nor a file", 2),
        (["steer", "VIDEO", "a dog"], "is completed: its video can no longer change", 14),
        (["finish", "VIDEO"], "is completed", 14),
        (["steer", "VIDEO", "a dog", "--at", "soon"], "--at 'soon' is not next, now or", 2),
        (["steer", "VIDEO", " "], "prompt is empty", 2),
        (["branch", "VIDEO"], "the branch has no prompt", 2),
        (["branch", "VIDEO", "a dog", "--at", "9"], "cannot branch at chunk 9: it has 3", 2),
        (["branch", "VIDEO", "a dog", "--at", "1.5"], "--at '1.5' is not a whole number", 2),
        (
            ["branch", "VIDEO", "--shot", "a@1", "--duration", "1"],
            "each shot has its own length",
            2,
        ),
        (
            ["extend", "VIDEO", "a dog", "--seed", "1"],
            "with its own model, size, options and seed",
            2,
        ),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    arguments: list[str], said: str, code: int, video: str, capsys: pytest.CaptureFixture[str]
) -> None:
    returned = main([video if word == "VIDEO" else word for word in arguments])

    answer = capsys.readouterr()
    assert returned == code, answer.err
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["steer", "nobody", "a dog"],
        ["finish", "nobody"],
        ["jobs", "cancel", "nobody"],
        ["jobs", "rm", "nobody"],
        ["steer", "VIDEO", "a dog"],
        ["finish", "VIDEO"],
        ["jobs", "rm", "VIDEO", "--forse"],
    ],
)
def test_programs_get_the_error_as_json(
    arguments: list[str], video: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [video if word == "VIDEO" else word for word in arguments]

    assert main([*words, "--json"]) != 0

    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["error"]
    assert {"code", "message", "retryable"} <= set(answer["error"])


def test_programs_read_what_became_of_a_stopped_and_of_removed_jobs(
    video: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "cancel", video, "--json"]) == 0
    done = {"job": video, "status": "completed", "cancellation": None, "said": "completed"}
    assert json.loads(capsys.readouterr().out) == {"data": [done]}
    assert main(["jobs", "rm", video, "--videos", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["data"]
    assert row["freed_bytes"] > 0
    assert row["kept"] == []
    assert [Path(path).suffix for path in row["removed"]] == [".mp4"]


def test_a_video_that_does_not_fit_on_the_disk_is_announced_with_what_is_free(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = Plan(
        backend="magi",
        model="tiny",
        policy=Policy.ADJUST,
        request=VideoRequest(prompt="a cat"),
        estimate=Estimate(disk_bytes=200_000_000),
    )

    announce(plan, free_bytes=66_000_000)
    too_much = capsys.readouterr().err
    announce(plan, free_bytes=200_000_000)

    assert "warning: only 66.0 MB free" in too_much
    assert "free" not in capsys.readouterr().err


def test_progress_of_a_video_that_continues_counts_what_was_made_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    request = VideoRequest(prompt="a cat", num_frames=72, fps=24)
    plan = Plan(backend="sandbox", model="slate", policy=Policy.ADJUST, request=request)
    ready = ChunkReady(index=2, frames=24)
    event = JobEvent(job_id="video", sequence=9, time=datetime(2026, 1, 2, tzinfo=UTC), event=ready)

    with ProgressLine(plan, frames=48) as progress:
        progress(event)

    assert "chunk 3, 72 of 72 frames" in capsys.readouterr().err


def test_frames_are_counted_only_once_there_are_some(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("media_agent.cli.progress._is_terminal", lambda: True)
    request = VideoRequest(prompt="a cat", num_frames=72, fps=24)
    plan = Plan(backend="mine", model="program", policy=Policy.ADJUST, request=request)
    running = JobProgressed(phase="running", fraction=0.4)
    news = (running, ChunkReady(index=0, frames=24))
    shown = []

    for count in (1, 2):
        with ProgressLine(plan) as progress:
            for event in news[:count]:
                time = datetime(2026, 1, 2, tzinfo=UTC)
                progress(JobEvent(job_id="video", sequence=1, time=time, event=event))
        shown.append(capsys.readouterr().err)

    assert "mine/program  running" in shown[0]
    assert "frames" not in shown[0]
    assert "24 of 72 frames" in shown[1]
