"""One process per GPU: each sees its own alone, and all end together."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from media_agent.backend.free_memory import Gpu
from media_agent.cluster import processes
from media_agent.errors import InvalidRequestError

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

_BROKEN = """
import os, pathlib, signal, sys, time
name, folder = os.environ["CUDA_VISIBLE_DEVICES"], pathlib.Path(sys.argv[-1])
if name == "1":
    while not (folder / "0.ready").exists():
        time.sleep(0.01)
    with (folder / "1.starts").open("a") as file:
        file.write("x")
    sys.stderr.write("error: it needs FAL_KEY\\n")
    sys.exit(int(sys.argv[-2]))
def end(*_):
    (folder / "0.ended").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(folder / "0.ready").touch()
time.sleep(60)
"""

_TALKING = """
import pathlib, signal, sys, time
def end(*_):
    sys.stderr.write("job one was handed back\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(pathlib.Path(sys.argv[-1]) / "ready").touch()
time.sleep(60)
"""

_CRASHING = """
import os, pathlib, signal, sys
folder = pathlib.Path(sys.argv[-1])
(folder / str(len(list(folder.iterdir())))).touch()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_each_gpu_has_a_worker_that_is_started_again_and_all_end_with_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_MAIN", _WORKER)
    monkeypatch.setattr(processes, "_PAUSES", (0.1,))
    ender = threading.Thread(target=end_when, args=(lambda: are_ready(tmp_path),), daemon=True)
    said: list[str] = []
    ender.start()

    code = processes.run_per_gpu(["0", "1"], ["--queues", "magi", str(tmp_path)], said.append)

    ender.join()
    starts = {path.stem: path.read_text() for path in tmp_path.glob("*.starts")}
    assert code == 0
    assert starts == {"0": "worker --queues magi\n", "1": "worker --queues magi\n" * 2}
    assert [text.partition(":")[0] for text in said] == ["GPU 0", "GPU 1", "GPU 1", "GPU 1"]


@pytest.mark.parametrize(
    ("code", "starts"),
    [
        (2, 1),  # what it was told
        (19, 1),  # its settings, or a key that is missing
        (21, 3),  # its ledger, which may come back
    ],
)
def test_a_worker_that_cannot_start_ends_all_with_its_code_and_its_last_words(
    code: int, starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_MAIN", _BROKEN)
    monkeypatch.setattr(processes, "_PAUSES", (0.05,))
    monkeypatch.setattr(processes, "_MOST_ENDS", 3)
    said: list[str] = []

    words = [str(code), str(tmp_path)]
    ended = processes.run_per_gpu(["0", "1"], words, said.append)

    assert ended == code
    assert (tmp_path / "1.starts").read_text() == "x" * starts
    assert said[-1].startswith(f"GPU 1: its process ended with exit code {code}")
    assert said[-1].endswith("error: it needs FAL_KEY; the others are ended")
    assert (tmp_path / "0.ended").exists()


def test_what_a_worker_says_last_is_passed_on_before_all_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pass_on = processes._Worker._pass_on

    def pass_on_slowly(worker: processes._Worker, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        time.sleep(0.3)
        pass_on(worker, process)

    monkeypatch.setattr(processes, "_MAIN", _TALKING)
    monkeypatch.setattr(processes._Worker, "_pass_on", pass_on_slowly)
    ender = threading.Thread(target=end_when, args=((tmp_path / "ready").exists,), daemon=True)
    ender.start()

    processes.run_per_gpu(["0"], [str(tmp_path)], lambda text: None)

    ender.join()
    assert capsys.readouterr().err == "job one was handed back\n"


def test_a_worker_that_crashes_is_started_again_after_ever_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_MAIN", _CRASHING)
    monkeypatch.setattr(processes, "_PAUSES", (0.01, 0.02, 0.03))
    monkeypatch.setattr(processes, "_MOST_ENDS", 2)
    said: list[str] = []
    is_enough = (tmp_path / "5").exists
    ender = threading.Thread(target=end_when, args=(is_enough,), daemon=True)
    ender.start()

    processes.run_per_gpu(["0"], [str(tmp_path)], said.append)

    ender.join()
    pauses = [text.rpartition(" in ")[2] for text in said if "signal 9" in text]
    assert pauses[:4] == ["0.01 s", "0.02 s", "0.03 s", "0.03 s"]


GPUS = (Gpu(0, 10**9, "NVIDIA L4"), Gpu(1, 10**9, "NVIDIA L4"))


def test_who_ends_workers_while_one_waits_for_its_next_start_hears_of_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_MAIN", _CRASHING)
    monkeypatch.setattr(processes, "_PAUSES", (60.0,))
    said: list[str] = []
    waits = lambda: any("started again" in text for text in said)  # noqa: E731
    ender = threading.Thread(target=end_when, args=(waits,), daemon=True)
    ender.start()

    code = processes.run_per_gpu(["0"], [str(tmp_path)], said.append)

    ender.join()
    assert code == 0


@pytest.mark.parametrize(
    ("asked", "listed", "has_node", "said"),
    [
        (["0", "1"], (), False, "gpus 0,1: this machine has no such GPU; nvidia-smi lists none"),
        (["1", "2"], GPUS, True, "gpus 2: .* lists 0 .NVIDIA L4., 1 .NVIDIA L4."),
        (["0", "1"], GPUS, True, None),
        (["GPU-5d1c"], GPUS, True, None),
        (["0"], (), True, None),  # of another maker, or one whose tools are not installed
    ],
)
def test_gpus_that_are_not_there_are_refused_with_those_that_are(
    asked: list[str],
    listed: tuple[Gpu, ...],
    has_node: bool,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "list_gpus", lambda: listed)
    monkeypatch.setattr(processes, "has_nodes", lambda: has_node)
    refused = nullcontext() if said is None else pytest.raises(InvalidRequestError, match=said)

    with refused:
        processes.check_gpus(asked)


def are_ready(folder: Path) -> bool:
    return len(list(folder.glob("*.ready"))) == 2


def end_when(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
