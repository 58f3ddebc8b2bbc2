"""What becomes of a run that breaks, leaves nothing, or is stopped."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from media_agent.testing import events_of
from media_agent_schemas.events import JobCancelled, JobCompleted, JobFailed, JobProgressed
from media_agent_schemas.jobs import OperationRef
from tests.opensora.conftest import Build, FakeOpenSora, find_alive, make_request, run

pytestmark = pytest.mark.anyio


def content(path: str) -> str:
    return Path(path).read_text()


async def test_a_run_that_breaks_says_what_it_broke_on(build: Build, fake: FakeOpenSora) -> None:
    fake.break_with("memory")

    end = await run(build(), make_request())

    assert isinstance(end, JobFailed)
    assert end.error.message == (
        "opensora: Open-Sora exited with 1: torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB"
    )
    hint = str(end.error.hint)
    assert "52.5 GB of memory on one GPU" in hint
    assert "#808" in hint
    assert "ChildFailedError" in content(hint.rpartition(" ")[2])


async def test_a_run_that_leaves_no_file_has_failed(build: Build, fake: FakeOpenSora) -> None:
    fake.break_with("nothing")

    end = await run(build(), make_request())

    assert isinstance(end, JobFailed)
    assert "exited well, but left no file" in end.error.message
    assert "video_256px/video.mp4" in end.error.message


async def test_the_folder_of_a_run_holds_nothing_of_an_earlier_one(
    build: Build, fake: FakeOpenSora, tmp_path: Path
) -> None:
    backend = build()
    await run(backend, make_request())
    await backend.aclose()
    fake.break_with("nothing")

    end = await run(build(), make_request())  # under the same key, as after a crash

    assert isinstance(end, JobFailed)
    assert len(list((tmp_path / "data" / "work" / "job-1").glob("run-*"))) == 1


@pytest.mark.parametrize("fault", ["hang", "stubborn"])
async def test_cancelling_ends_torchrun_and_every_worker(
    build: Build, fake: FakeOpenSora, fault: str
) -> None:
    fake.break_with(fault)
    backend = build(gpus=[0, 1], grace_seconds=0.5)
    ref = await backend.submit(make_request(), key="job-1")
    pids = await asyncio.to_thread(fake.wait_for_workers, 2)
    was_alive = find_alive(pids)

    await backend.cancel(ref)
    end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobCancelled)
    assert len(was_alive) >= 2  # a worker that has no more to do has ended
    assert find_alive(pids) == []


async def test_workers_that_outlive_torchrun_are_ended_too(
    build: Build, fake: FakeOpenSora
) -> None:
    fake.break_with("hang")
    backend = build(grace_seconds=0.5)
    ref = await backend.submit(make_request(), key="job-1")
    pids = await asyncio.to_thread(fake.wait_for_workers)
    [torchrun] = fake.checkout.glob("pids/torchrun-*")

    os.kill(int(torchrun.name.partition("-")[2]), signal.SIGKILL)
    end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobFailed)
    assert f"exited with {128 + signal.SIGKILL}" in end.error.message
    assert find_alive(pids) == []


async def test_phases_and_time_are_reported(build: Build, fake: FakeOpenSora) -> None:
    fake.break_with("hang")
    backend = build(grace_seconds=0.5)
    ref = await backend.submit(make_request(num_frames=129), key="job-1")
    said = await wait_for_phase(backend, ref, "generating")

    await backend.cancel(ref)

    assert said.fraction is not None
    assert "s; its authors measured 60 s on H100" in str(said.message)


async def test_one_run_at_a_time_also_for_two_processes(build: Build, fake: FakeOpenSora) -> None:
    fake.break_with("hang")
    first, second = build(grace_seconds=0.5), build()
    running = await first.submit(make_request(), key="first")
    await asyncio.to_thread(fake.wait_for_workers)

    waiting = await second.submit(make_request(), key="second")
    said = await wait_for_phase(second, waiting, "waiting for another run of Open-Sora to end")
    fake.mend()
    await first.cancel(running)
    end = (await events_of(second, waiting))[-1]

    assert said.fraction == 0
    assert isinstance(end, JobCompleted), end


async def wait_for_phase(backend: object, ref: OperationRef, phase: str) -> JobProgressed:
    async with asyncio.timeout(60):
        async for event in backend.observe(ref):  # type: ignore[attr-defined]
            if isinstance(event, JobProgressed) and event.phase == phase:
                return event
    raise AssertionError(phase)


@pytest.mark.slow
async def test_cancelling_ends_the_real_torchrun_too(build: Build, fake: FakeOpenSora) -> None:
    pytest.importorskip("torch")
    fake.break_with("hang")
    torchrun = Path(sys.executable).with_name("torchrun")
    backend = build(torchrun=str(torchrun), gpus=[0, 1])
    ref = await backend.submit(make_request(), key="job-1")
    pids = await asyncio.to_thread(fake.wait_for_workers, 2)
    was_alive = find_alive(pids)

    await backend.cancel(ref)
    end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobCancelled)
    assert was_alive
    assert find_alive(pids) == []
