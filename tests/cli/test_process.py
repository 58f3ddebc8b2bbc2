"""The command line as a process: signals, terminals, and outputs that cannot be written."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from media_agent.video.probe import probe
from media_agent_schemas import GenerationRecord, JobStatus, VideoJob

COMMAND = [sys.executable, "-m", "media_agent.cli"]
LONG = ["generate", "a cat", "--backend", "sandbox", "--size", "64x64"]
LATENCY = ["--duration", "300", "--option", "latency_seconds=150"]


def stopped_by(number: signal.Signals, *more: str) -> tuple[int, str, str]:
    """Start a long video, send a signal after its first chunk; return code, stdout, stderr."""
    process = subprocess.Popen(
        [*COMMAND, *LONG, *(more or LATENCY), "--out", "a.mp4", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    while "chunk 1," not in said:
        line = process.stderr.readline()
        assert line, f"it ended early: {said}"
        said += line
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, said + err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_partial_video_that_plays_and_a_record_that_says_how_much(
    number: signal.Signals, code: int
) -> None:
    returned, out, err = stopped_by(number)

    assert returned == code, err
    job = VideoJob.model_validate_json(out)
    record = GenerationRecord.model_validate_json(Path("a.json").read_bytes())
    video = probe(Path("a.partial.mp4"))
    assert job.status is record.status is JobStatus.CANCELLED
    assert job.artifacts[0].path == str(Path("a.partial.mp4").absolute())
    assert record.frames_delivered == video.frames >= 24
    assert record.frames_planned == 7200
    assert not Path("a.mp4").exists()
    assert not Path(".a.mp4.lock").exists()
    assert "Traceback" not in err
    assert "\x1b" not in err


def test_a_stopped_video_that_is_resumed_leaves_no_partial_one_beside_it() -> None:
    Path("b.partial.mp4").write_bytes(b"of somebody else")
    short = ["--duration", "6", "--option", "latency_seconds=3"]
    _, out, err = stopped_by(signal.SIGINT, *short)
    assert Path("a.partial.mp4").exists(), err

    job_id = VideoJob.model_validate_json(out).id
    done = subprocess.run([*COMMAND, "jobs", "resume", job_id], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert probe(Path("a.mp4")).frames == 144
    assert sorted(path.name for path in Path().glob("?.*mp4")) == ["a.mp4", "b.partial.mp4"]


def endless_until(word: str, *, latency: float) -> subprocess.Popen[str]:
    """Start a video without an end and return its process when it has said this."""
    process = subprocess.Popen(
        [
            *COMMAND,
            *LONG,
            "--endless",
            "--out",
            "a.mp4",
            "--follow",
            "--option",
            f"latency_seconds={latency}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any(word in line for line in lines)
    return process


def test_ctrl_c_finishes_a_video_without_an_end() -> None:
    process = endless_until("chunk 2,", latency=0.2)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert "finishing" in err
    assert "a.mp4: " in out
    record = GenerationRecord.model_validate_json(Path("a.json").read_bytes())
    assert record.status is JobStatus.COMPLETED
    assert probe(Path("a.mp4")).frames >= 48


def test_a_second_ctrl_c_stops_a_video_without_an_end() -> None:
    process = endless_until("draw", latency=60)
    assert process.stderr is not None

    process.send_signal(signal.SIGINT)
    assert "finishing" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "stopping" in err


def test_sigterm_stops_a_video_without_an_end() -> None:
    process = endless_until("chunk 2,", latency=0.2)

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 143, err
    assert "stopping" in err
    assert Path("a.partial.mp4").exists()


def test_a_terminal_gets_a_moving_bar_and_the_result() -> None:
    short = ["generate", "a cat", "--backend", "sandbox", "--size", "64x64", "--duration", "1"]
    controller, terminal = pty.openpty()
    with open(terminal, "wb", buffering=0) as stderr:  # noqa: PTH123  # a descriptor, not a path
        process = subprocess.Popen(
            [*COMMAND, *short, "--out", "a.mp4"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "TERM": "xterm"},
            text=True,
        )
    out, _ = process.communicate(timeout=60)

    shown = os.read(controller, 1 << 16)
    os.close(controller)
    assert process.returncode == 0
    assert b"\x1b[" in shown
    assert b"sandbox/slate" in shown
    assert "\x1b" not in out


@pytest.mark.parametrize("command", [["jobs", "show", "none"], ["jobs", "list"]])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "2>/dev/full", ">/dev/full", "| true"])
def test_an_output_that_cannot_be_written_gives_no_traceback(
    command: list[str], closed: str
) -> None:
    words = shlex.join([*COMMAND, *command, "--json"])
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{words} {closed}"],
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # a buffer is where the rest of it is
        capture_output=True,
    )

    assert b"Traceback" not in ended.stderr
    assert b"Exception" not in ended.stderr
    assert ended.returncode != 120
    if closed.startswith("2"):
        assert json.loads(ended.stdout)
    if command[1] == "show":
        assert ended.returncode == 15
