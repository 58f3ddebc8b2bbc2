"""Commands to a job whose process is killed on the way: none is lost, none is applied twice."""

import asyncio
import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from media_agent.client import VideoClient
from media_agent.errors import JobNotFoundError
from media_agent_schemas import GenerationRecord, JobStatus, PromptChanged, VideoJob
from tests.jobs import steered_in_processes as work


async def until_a_chunk_is_ready(client: VideoClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await client.get("mine")).chunks_ready > 0:
                    return
            except JobNotFoundError:
                pass
            await asyncio.sleep(0.02)


async def until_it_shows(client: VideoClient) -> PromptChanged:
    """Wait until a chunk shows the prompt that was changed."""
    async with asyncio.timeout(60):
        while True:
            events = [numbered.event for numbered in await client.events("mine")]
            changes = [event for event in events if isinstance(event, PromptChanged)]
            if changes and (await client.get("mine")).chunks_ready > changes[0].chunk:
                return changes[0]
            await asyncio.sleep(0.02)


def record_of(job: VideoJob) -> GenerationRecord:
    return GenerationRecord.model_validate_json(Path(str(job.record_path)).read_bytes())


async def until_it_is_dead(process: BaseProcess) -> None:
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode is not None, "it did not die"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("dies_at", "times_applied"),
    [(None, 1), ("receive", 1), ("apply", 2), ("acknowledge", 1), ("announce", 1)],
)
async def test_a_command_holds_once_wherever_the_process_is_killed(
    tmp_path: Path, dies_at: str | None, times_applied: int
) -> None:
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=work.make, args=(tmp_path, dies_at))
    process.start()
    async with work.client_of(tmp_path) as client:
        await until_a_chunk_is_ready(client)
        if dies_at is None:  # then it is killed before it hears of anything
            process.kill()
            await until_it_is_dead(process)
        await client.steer("mine", "a dog", at="now")
        await until_it_is_dead(process)

        resumed = asyncio.create_task(client.resume("mine"))
        change = await until_it_shows(client)
        await client.finish("mine")
        job = await resumed

        assert process.exitcode == (-9 if dies_at is None else work.KILLED)
        assert job.status is JobStatus.COMPLETED, job.error
        events = [numbered.event for numbered in await client.events("mine")]
        assert {event for event in events if isinstance(event, PromptChanged)} == {change}
        assert change.prompt == "a dog"
        record = record_of(job)
        assert [(shot.start, shot.prompt_sent) for shot in record.shots] == [
            (0, "a cat"),
            (change.chunk / 2, "a dog"),
        ]
    applied = (tmp_path / "applied").read_text().splitlines()
    assert applied == ["a dog"] * times_applied  # a kill in the middle of applying begins it again
