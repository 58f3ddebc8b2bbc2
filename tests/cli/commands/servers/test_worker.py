"""The command that works on the jobs of a cluster, as far as it goes without one."""

import subprocess
import sys
from importlib import import_module

import pytest

from media_agent.cli import main
from media_agent.client import VideoClient

worker = import_module("media_agent.cli.commands.servers.worker")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--queues", "fal,,magi"], "empty name"),
        (["--queues", "fal", "--drain-seconds", "soon"], "soon"),
        (["--queues", "fal", "--drain-seconds", "-1"], "0 to 86400"),
        (["--queues", "fal", "--drain-seconds", "inf"], "0 to 86400"),
        (["--queues", "sandbox/slate"], "has no queue of its own"),
        (["--queues", "nobody"], "nobody"),
        (["--queues", "fal", "--gpus", "0,"], "empty name"),
    ],
)
def test_what_cannot_be_served_is_said_and_the_way_out(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("dbos", reason="the extra cluster is not installed")

    assert main(["worker", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_worker_without_the_key_of_a_service_takes_no_job_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("dbos", reason="the extra cluster is not installed")

    assert main(["worker", "--queues", "fal"]) != 0
    assert "FAL_KEY" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("media_agent.cluster.processes.list_gpus", tuple)
    monkeypatch.setattr("media_agent.cluster.processes.has_nodes", lambda: False)

    assert main(["worker", "--queues", "magi", "--gpus", "0,1"]) == 2
    assert "--gpus 0,1: this machine has no such GPU" in capsys.readouterr().err


def test_a_worker_sees_to_its_end_once_no_job_is_left_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hand_all_back(client: VideoClient, *words: object, **named: object) -> None:
        """Nothing was here."""

    ends: list[float] = []
    monkeypatch.setattr(VideoClient, "work_queues", hand_all_back)
    monkeypatch.setattr(worker, "_end_surely", ends.append)

    assert main(["worker", "--queues", "sandbox"]) == 0
    assert ends == [worker._CLOSING_SECONDS]


def test_a_process_that_is_to_end_waits_for_no_thread_for_ever() -> None:
    code = """
import threading, time
from media_agent.cli.commands.servers.worker import _end_surely
threading.Thread(target=time.sleep, args=(600,)).start()
_end_surely(0.2)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
