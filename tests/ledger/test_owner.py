"""Whether a process lives."""

import multiprocessing
import multiprocessing.synchronize
import os

from media_agent.ledger.owner import Owner, is_alive, process_started
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
