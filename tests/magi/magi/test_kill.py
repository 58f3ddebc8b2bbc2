"""A video of a model in the released layout is killed and resumed in another process."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from media_agent.cli import main
from media_agent.video.codec import read_frames
from tests.magi.released import write_release

CHUNKS, CHUNK = 6, 24
COMMAND = [
    *("generate", f"a red circle moving right@{CHUNKS}"),
    *("--backend", "magi/small", "--seed", "0", "--out"),
]


def announced_chunks(data: Path) -> int:
    """Return how many chunks the ledger knows."""
    with closing(sqlite3.connect(data / "ledger.sqlite")) as ledger:
        number: int = ledger.execute("SELECT COUNT(chunk) FROM events").fetchone()[0]
    return number


def test_the_frames_that_were_there_stay_and_the_others_differ_by_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    folder = write_release(tmp_path / "release", dtype="float32")
    assert main(["models", "add", str(folder), "--name", "small"]) == 0
    assert main([*COMMAND, "whole.mp4"]) == 0
    before = announced_chunks(tmp_path / "data")

    process = subprocess.Popen(
        [sys.executable, "-m", "media_agent.cli", *COMMAND, "killed.mp4"],
        env={**os.environ, "MEDIA_AGENT_DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and announced_chunks(tmp_path / "data") == before:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not Path("killed.mp4").exists()
    assert main(["jobs", "resume"]) == 0

    lineage = json.loads(Path("killed.json").read_bytes())["lineage"]
    kept = CHUNK * lineage["resumed_from_chunk"]
    assert kept > 0
    assert lineage["resumed_exactly"] is False
    whole, resumed = (read_frames(Path(name)) for name in ("whole.mp4", "killed.mp4"))
    assert len(resumed) == len(whole) == CHUNKS * CHUNK
    assert (resumed[:kept] == whole[:kept]).all()
    assert np.abs(resumed[kept:].astype(int) - whole[kept:]).mean() < 0.05
