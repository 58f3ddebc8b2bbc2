"""What the first and the second Ctrl-C do."""

import asyncio
import os
import signal

import pytest

from media_agent.cli.signals import cancel_on_signals, let_finish
from media_agent_schemas import Estimate, Plan, Policy, VideoRequest

pytestmark = pytest.mark.anyio


class Client:
    """Notes which jobs were asked to finish."""

    def __init__(self) -> None:
        self.finished: list[str] = []

    async def finish(self, job_id: str) -> None:
        self.finished.append(job_id)


def plan() -> Plan:
    request = VideoRequest(prompt="a cat", endless=True)
    return Plan(backend="b", model="m", policy=Policy.ADJUST, request=request, estimate=Estimate())


@pytest.mark.parametrize("is_local", [True, False])
async def test_a_local_step_that_takes_long_to_end_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_local: bool
) -> None:
    monkeypatch.setattr("media_agent.cli.signals._SOON", 0.05)

    with cancel_on_signals() as interruption:
        interruption.is_local = is_local
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        await asyncio.sleep(0.2)

    assert ("the step under way ends first" in capsys.readouterr().err) == is_local


async def test_each_endless_job_is_finished_by_its_own_first_ctrl_c() -> None:
    client = Client()
    with cancel_on_signals() as interruption:
        for job in ("first", "second"):
            let_finish(client, job, plan(), interruption)  # type: ignore[arg-type]
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)

    assert client.finished == ["first", "second"]
    assert interruption.number is None
