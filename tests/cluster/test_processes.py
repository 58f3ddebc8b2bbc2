"""One process per GPU: each sees its own alone, and all end together."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent.cluster import processes

_WORKER = """
import os, pathlib, signal, sys, time
name = os.environ["CUDA_VISIBLE_DEVICES"]
starts = pathlib.Path(sys.argv[-1]) / f"{name}.starts"
with starts.open("a") as file:
    file.write(" ".join(sys.argv[1:-1]) + "\\n")
if name == "1" and len(starts.read_text().splitlines()) == 1:
    os._exit(1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
starts.with_suffix(".ready").write_text("")
time.sleep(60)
"""


def test_each_gpu_has_a_worker_that_is_started_again_and_all_end_with_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_MAIN", _WORKER)
    monkeypatch.setattr(processes, "_RESTART_SECONDS", 0.1)
    ender = threading.Thread(target=end_when, args=(lambda: are_ready(tmp_path),), daemon=True)
    said: list[str] = []
    ender.start()

    code = processes.run_per_gpu(["0", "1"], ["--queues", "magi", str(tmp_path)], said.append)

    ender.join()
    starts = {path.stem: path.read_text() for path in tmp_path.glob("*.starts")}
    assert code == 0
    assert starts == {"0": "worker --queues magi\n", "1": "worker --queues magi\n" * 2}
    assert [text.partition(":")[0] for text in said] == ["GPU 0", "GPU 1", "GPU 1"]


def are_ready(folder: Path) -> bool:
    return len(list(folder.glob("*.ready"))) == 2


def end_when(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
