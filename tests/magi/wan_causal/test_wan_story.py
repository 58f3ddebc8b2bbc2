"""The whole life of a video by the command line: steered, killed, resumed, branched, continued."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from tests.magi.released_wan import CAPTIONS

FIRST, BLOCK, FPS = 9, 12, 16  # frames of the first block, and of a later one
COMMAND = [
    *(
        "generate",
        f"{CAPTIONS[0]}@10",
        "--shot",
        f"{CAPTIONS[1]}@10",
        "--shot",
        f"{CAPTIONS[2]}@10",
    ),
    *("--backend", "wan-causal/longlive", "--seed", "0", "--option", "state_every=4"),
    *("--out", "story.mp4"),
]


def ask(question: str) -> list[str]:
    """Return the first column of what the ledger answers."""
    with closing(sqlite3.connect(Path("data") / "ledger.sqlite")) as ledger:
        return [str(row[0]) for row in ledger.execute(question)]


def wait_until(question: str, process: "subprocess.Popen[bytes]") -> str:
    """Return what the ledger answers as soon as it does; the process must not end before."""
    while process.poll() is None:
        if answer := ask(question):
            return answer[0]
        time.sleep(0.01)
    raise AssertionError("it ended too early")


def test_three_shots_are_steered_killed_resumed_branched_and_continued(
    releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "add", str(releases / "longlive")]) == 0
    assert main(["jobs", "list"]) == 0  # there is a ledger now
    process = subprocess.Popen(
        [sys.executable, "-m", "media_agent.cli", *COMMAND],
        env={**os.environ, "MEDIA_AGENT_DATA_DIR": str(tmp_path / "data")},
        start_new_session=True,
    )
    wait_until("SELECT chunk FROM events WHERE chunk IS NOT NULL", process)
    [job] = ask("SELECT id FROM jobs")
    assert main(["steer", job, CAPTIONS[3]]) == 0
    wait_until("SELECT 1 FROM events WHERE chunk >= 8", process)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not Path("story.mp4").exists()

    assert main(["jobs", "resume"]) == 0
    branched = ["branch", job, CAPTIONS[2], "--at", "4", "--duration", "1.5"]
    assert main([*branched, "--out", "branch.mp4"]) == 0
    continued = ["extend", job, CAPTIONS[1], "--duration", "1.5"]
    assert main([*continued, "--out", "longer.mp4"]) == 0

    lineage = json.loads(Path("story.json").read_bytes())["lineage"]
    story, branch = read_frames(Path("story.mp4")), read_frames(Path("branch.mp4"))
    longer, kept = read_frames(Path("longer.mp4")), FIRST + 3 * BLOCK
    made = probe(Path("longer.mp4"))
    assert lineage["resumed_from_chunk"] > 0
    assert lineage["resumed_exactly"] is True
    assert CAPTIONS[3] in Path("story.json").read_text()
    assert len(story) == 30 * FPS
    assert (branch[:kept] == story[:kept]).all()
    assert (branch[kept:] != story[kept : len(branch)]).any()
    whole = FIRST + (len(story) - FIRST) // BLOCK * BLOCK  # the last block was cut short
    assert (longer[:whole] == story[:whole]).all()
    assert (made.width, made.height, made.fps) == (32, 32, FPS)
    assert len(longer) >= len(story) + FPS
