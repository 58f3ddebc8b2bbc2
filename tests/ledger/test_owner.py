"""Whether a process lives."""

import multiprocessing
import multiprocessing.synchronize
import os
import threading

from media_agent.ledger.owner import Heartbeat, Owner, is_alive, process_started
from tests.ledger.samples import ELSEWHERE


def test_a_heartbeat_counts_for_owners_on_other_hosts_only() -> None:
    here = Owner.current()

    assert is_alive(here, silent_seconds=1e9)
    assert not is_alive(Owner(here.host, here.pid, "earlier", "t"), silent_seconds=0)
    assert is_alive(ELSEWHERE, silent_seconds=10)
    assert not is_alive(ELSEWHERE, silent_seconds=100)


def test_a_process_that_ended_has_no_start() -> None:
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    assert process.pid is not None
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert process_started(process.pid) is None  # a zombie works on nothing
    process.join()
    assert process_started(process.pid) is None


def test_one_thread_beats_for_all_and_ends_with_the_last() -> None:
    has_beaten = threading.Event()
    heartbeat = Heartbeat(has_beaten.set, seconds=0.001)

    with heartbeat.needed():
        with heartbeat.needed():
            threads = [each for each in threading.enumerate() if each.name == "heartbeat"]
        has_beaten.clear()
        assert has_beaten.wait(10)  # the first still needs it
    has_beaten.clear()

    assert len(threads) == 1
    assert not threads[0].is_alive()
    assert not has_beaten.is_set()
