"""A long video of a short model, killed in its middle and resumed, equals an undisturbed one."""

import asyncio
import json
import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from media_agent.client import VideoClient
from media_agent.errors import JobNotFoundError, StorageError
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from media_agent_schemas import GenerationRecord, JobStatus, Method, VideoJob, VideoRequest
from tests.diffusers.generating import work_in_processes as work

FolderOf = Callable[[str], Path]


def request_of(model: str, num_frames: int, fps: float) -> VideoRequest:
    return VideoRequest.model_validate(
        {
            "prompt": "a red cat",
            "model": f"diffusers/{model}",
            "size": {"width": 16, "height": 16},
            "num_frames": num_frames,
            "fps": fps,
            "seed": 7,
            "options": {"diffusers": {"num_inference_steps": 1, "max_sequence_length": 16}},
        }
    )


async def until_two_are_there(client: VideoClient) -> VideoJob:
    async with asyncio.timeout(120):
        while True:
            try:
                job = await client.get("mine")
                assert job.status is not JobStatus.FAILED, job.error
                if job.chunks_ready == work.LAST_MADE:
                    return job
            except JobNotFoundError:
                pass
            await asyncio.sleep(0.05)


def count_growing(folder: Path) -> list[int]:
    found = []
    for path in folder.rglob("video.part.mp4"):
        with suppress(StorageError):  # it has only just begun
            found.append(probe(path).frames)
    return found


def frames_of(job: VideoJob) -> np.ndarray:
    assert job.status is JobStatus.COMPLETED, job.error
    return read_frames(Path(job.artifacts[0].path or ""))


def record_of(job: VideoJob) -> GenerationRecord:
    return GenerationRecord.model_validate_json(Path(str(job.record_path)).read_bytes())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("models", "num_frames", "fps", "method"),
    [
        (("skyreels-df",), 97 + 80 + 80 + 40, 24.0, Method.EXTEND),
        (("wan", "wan-i2v"), 81 + 3 * 80, 16.0, Method.CHAIN),
    ],
)
async def test_a_video_killed_in_its_middle_and_resumed_has_the_frames_of_an_undisturbed_one(
    folder_of: FolderOf,
    tmp_path: Path,
    models: tuple[str, ...],
    num_frames: int,
    fps: float,
    method: Method,
) -> None:
    folders = {name: str(folder_of(name)) for name in models}
    request = request_of(models[0], num_frames, fps)
    context = multiprocessing.get_context("forkserver")
    needed = "media_agent_diffusers.pipelines.pipeline"  # by both processes
    context.set_forkserver_preload([needed])
    asked = json.dumps(request.model_dump(mode="json"))
    process = context.Process(target=work.make, args=(tmp_path / "killed", folders, asked))
    process.start()

    async with work.client_of(tmp_path / "whole", folders) as client:
        whole = await client.generate(request)
    async with work.client_of(tmp_path / "killed", folders) as client:
        await until_two_are_there(client)
        growing = count_growing(tmp_path / "killed")
        process.kill()
        await asyncio.to_thread(process.join, 60)
        resumed = await client.resume("mine")

    assert process.exitcode == -9
    assert probe(Path(whole.artifacts[0].path or "")).frames == num_frames
    assert np.array_equal(frames_of(whole), frames_of(resumed))
    assert whole.plan.method is resumed.plan.method is method
    assert resumed.chunks_ready == 4
    seams = record_of(resumed).seams
    assert seams == record_of(whole).seams
    assert len(seams) == resumed.plan.seams == 3
    assert all(seam.score is not None for seam in seams)
    if method is Method.EXTEND:
        assert growing == [97 + 80]
        assert record_of(resumed).lineage.resumed_from_chunk == work.LAST_MADE
        assert [seam.frame for seam in seams] == [97, 177, 257]
    else:
        assert [seam.frame for seam in seams] == [80, 160, 240]
