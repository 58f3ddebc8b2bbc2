"""A lock is held by one, and freed when its process dies, however it dies."""

import errno
import fcntl
import multiprocessing
import multiprocessing.synchronize
import os
import signal
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from media_agent.storage.locks import lock

_FORK = multiprocessing.get_context("fork")


def hold_for_ever(path: Path, is_claimed: multiprocessing.synchronize.Event) -> None:
    with lock(path, waits=False):
        is_claimed.set()
        signal.pause()


def count_up(path: Path, counter: Path) -> None:
    for _ in range(50):
        with lock(path, waits=True):
            counter.write_text(str(int(counter.read_text()) + 1))


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"

    with (
        lock(path, waits=False),
        pytest.raises(BlockingIOError, match="another run holds it"),
        lock(path, waits=False),
    ):
        pass

    with lock(path, waits=False) as file:
        assert os.path.samestat(file, path.stat())


def test_a_lock_is_free_when_its_process_was_killed(tmp_path: Path) -> None:
    path, is_claimed = tmp_path / "a.lock", _FORK.Event()
    process = _FORK.Process(target=hold_for_ever, args=(path, is_claimed))
    process.start()
    assert is_claimed.wait(30)
    with pytest.raises(BlockingIOError), lock(path, waits=False):
        pass

    process.kill()
    process.join()

    with lock(path, waits=False):
        pass


@pytest.mark.parametrize("worker", [_FORK.Process, threading.Thread])
def test_whoever_waits_gets_the_lock_and_no_two_have_it(
    tmp_path: Path, worker: type[BaseProcess] | type[threading.Thread]
) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    workers = [worker(target=count_up, args=(tmp_path / "a.lock", counter)) for _ in range(3)]

    for each in workers:
        each.start()
    for each in workers:
        each.join(60)

    assert counter.read_text() == "150"  # none of them broke, or lost a turn


def test_a_lock_whose_file_was_removed_is_no_lock_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"

    with lock(path, waits=False) as first:
        path.unlink()
        with lock(path, waits=False) as second:
            assert not os.path.samestat(first, second)


def test_a_file_system_without_locks_is_refused_instead_of_locked_softly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)

    with (
        pytest.raises(OSError, match="not implemented") as caught,
        lock(tmp_path / "a", waits=False),
    ):
        pass

    assert caught.value.errno == errno.ENOSYS
