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


async def test_each_endless_job_is_finished_by_its_own_first_ctrl_c() -> None:
    client = Client()
    with cancel_on_signals() as interruption:
        for job in ("first", "second"):
            let_finish(client, job, plan(), interruption)  # type: ignore[arg-type]
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)

    assert client.finished == ["first", "second"]
    assert interruption.number is None
