"""The command that works on the jobs of a cluster, as far as it goes without one."""

import pytest

from media_agent.cli import main


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
