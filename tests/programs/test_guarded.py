"""A guarded program ends with all that it started, however the one who asked for it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from media_agent.programs.guarded import start_guarded
from media_agent.programs.turns import take_turn

FAMILY = """
import pathlib, signal, subprocess, sys, time
folder, how = pathlib.Path(sys.argv[1]), sys.argv[2]
if "stubborn" in how:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(
    [sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True
)
(folder / "pids.new").write_text(f"{__import__('os').getpid()} {child.pid}")
(folder / "pids.new").rename(folder / "pids")
if "ends" in how:
    sys.exit(3)
time.sleep(60)
"""
ASKER = """
import os, pathlib, sys, time
from media_agent.programs.guarded import start_guarded
from media_agent.programs.turns import take_turn
folder = pathlib.Path(sys.argv[1])
words = [sys.executable, "-S", str(folder / "family.py"), str(folder), sys.argv[2]]
with take_turn(folder / "lock", lambda: None) as turn, (folder / "log").open("wb") as log:
    with start_guarded(words, folder=folder, environment=os.environ, output=log, keeps=[turn],
                       grace_seconds=0.5):
        time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "family.py").write_text(FAMILY)
    return tmp_path


@contextmanager
def started(folder: Path, how: str) -> Iterator["subprocess.Popen[bytes]"]:
    words = [sys.executable, "-S", str(folder / "family.py"), str(folder), how]
    with (
        (folder / "log").open("wb") as log,
        start_guarded(
            words, folder=folder, environment=os.environ, output=log, grace_seconds=0.3
        ) as guard,
    ):
        yield guard


def family(folder: Path) -> list[int]:
    """Return the processes of the program, once it has started them."""
    until(lambda: (folder / "pids").exists())
    return [int(word) for word in (folder / "pids").read_text().split()]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("how", ["polite", "stubborn"])
def test_nothing_outlives_the_context(folder: Path, how: str) -> None:
    with started(folder, how):
        pids = family(folder)
        assert all(map(is_alive, pids))

    assert not any(map(is_alive, pids))


def test_what_a_program_leaves_running_is_ended_and_its_exit_code_is_kept(folder: Path) -> None:
    with started(folder, "ends") as guard:
        code = guard.wait(20)

    assert code == 3
    assert not any(map(is_alive, family(folder)))


def test_a_program_that_was_killed_is_told_by_its_exit_code(folder: Path) -> None:
    with started(folder, "polite") as guard:
        os.kill(family(folder)[0], signal.SIGKILL)

        assert guard.wait(20) == 128 + signal.SIGKILL


def test_a_program_that_is_not_there_is_told_by_its_exit_code(folder: Path) -> None:
    log = folder / "log"
    with (
        log.open("wb") as output,
        start_guarded(["no-such"], folder=folder, environment=os.environ, output=output) as guard,
    ):
        code = guard.wait(20)

    assert code == 127
    assert "no-such: No such file" in log.read_text()


@pytest.mark.parametrize("how", ["polite", "stubborn"])
def test_nothing_outlives_a_process_that_is_killed_and_it_keeps_its_turn_till_then(
    folder: Path, how: str
) -> None:
    asker = subprocess.Popen([sys.executable, "-c", ASKER, str(folder), how])
    pids = family(folder)

    asker.kill()
    asker.wait()
    with take_turn(folder / "lock", lambda: time.sleep(0.01)):
        alive = [pid for pid in pids if is_alive(pid)]

    assert alive == []


def test_a_turn_is_of_one_at_a_time(tmp_path: Path) -> None:
    class WaitedError(Exception):
        pass

    def wait() -> None:
        raise WaitedError

    another = take_turn(tmp_path / "lock", wait)
    with take_turn(tmp_path / "lock", wait), pytest.raises(WaitedError), another:
        pass
    with take_turn(tmp_path / "lock", wait):
        pass
