"""Workers on several machines that die, are asked to end, and take over from each other.

Real processes over dbos and a private Postgres; skipped where one of them is not installed.
`make bench-cluster` plays more of it, and with a video that has no end.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

pytest.importorskip("dbos", reason="the extra cluster is not installed")

from media_agent.client import VideoClient
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas import JobStatus, VideoJob, VideoRequest
from tests.cluster.machines import Machine

pytestmark = pytest.mark.anyio


@pytest.fixture
def simulator() -> Iterator[FalSimulator]:
    with FalSimulator(running_polls=10**6) as simulator:
        yield simulator


@pytest.fixture
def machines(
    tmp_path: Path, postgres_url: SecretStr, simulator: FalSimulator
) -> Iterator[tuple[Machine, Machine]]:
    first, second = (
        Machine(tmp_path / name, postgres_url, tmp_path / "shared", simulator.url)
        for name in ("a", "b")
    )
    yield first, second
    first.end()
    second.end()


async def until(holds: Callable[[], bool], seconds: float = 300) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # it happens in other processes
            await asyncio.sleep(0.05)


async def ended(client: VideoClient, jobs: list[VideoJob]) -> list[VideoJob]:
    async with asyncio.timeout(300):
        while True:
            found = [await client.get(job.id) for job in jobs]
            if all(job.status.is_terminal for job in found):
                return found
            await asyncio.sleep(0.1)


async def test_what_a_killed_worker_had_is_finished_by_another_machine_and_paid_once(
    machines: tuple[Machine, Machine], simulator: FalSimulator
) -> None:
    first, second = machines
    killed = first.start("fal")
    async with second.client() as client:
        jobs = [
            await client.start(VideoRequest(prompt=f"a kite {number}", seed=number))
            for number in range(4)
        ]
        await until(lambda: simulator.accepted == 4)
        survivor = second.start("fal")
        await asyncio.to_thread(second.wait_until_ready)

        killed.send_signal(signal.SIGKILL)
        killed.wait()
        simulator.running_polls = 0
        done = await ended(client, jobs)

        assert [job.status for job in done] == [JobStatus.COMPLETED] * 4
        assert simulator.accepted == 4
        shown = await client.bring_files(done[0])
        assert is_there(shown)

        simulator.running_polls = 10**6
        last = await client.start(VideoRequest(prompt="a boat", seed=9))
        await until(lambda: simulator.accepted == 5)
        survivor.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(survivor.wait, 200) == 0
        assert client.store.owners.list_unworked() == (last.id,)


def is_there(job: VideoJob) -> bool:
    return Path(job.artifacts[0].path or "").is_file()
