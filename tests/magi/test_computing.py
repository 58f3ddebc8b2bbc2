"""The number of threads is ours: no machine, variable or other thread changes a video."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from media_agent.backend.protocol import BackendSettings
from media_agent.testing import events_of
from media_agent_magi.backend import MagiBackend
from media_agent_magi.computing import Computing, usual_dtype
from media_agent_magi.generating.engine import Engine
from media_agent_magi.tiny.family import TinyFamily
from media_agent_magi.tiny.loader import load_tiny
from media_agent_schemas import ChunkReady, JobCompleted, ResumeToken, VideoRequest

MAKE = """
import asyncio, hashlib, json, sys
from pathlib import Path
from media_agent.backend.protocol import BackendSettings
from media_agent.testing import events_of
from media_agent.video.codec import read_frames
from media_agent_magi.backend import MagiBackend
from media_agent_magi.tiny.family import TinyFamily
from media_agent_schemas import VideoRequest

async def main():
    data, weights = map(Path, sys.argv[1:])
    backend = MagiBackend(BackendSettings(data_dir=data), [TinyFamily(weights)])
    request = VideoRequest(
        prompt="a red circle moving right", model="magi/tiny", fps=24, num_frames=24, seed=3,
        options={"magi": {"num_inference_steps": 8}},
    )
    done = (await events_of(backend, await backend.submit(request, key="a")))[-1]
    await backend.aclose()
    frames = read_frames(Path(done.artifacts[0].path))
    print(json.dumps({
        "frames": hashlib.sha256(frames.tobytes()).hexdigest(),
        "threads": done.computation.threads,
    }))

asyncio.run(main())
"""


def start_process(folder: Path, weights: Path, *, offered: int) -> "subprocess.Popen[bytes]":
    """Make a second of video in a process of its own, as on a machine that offers more threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(offered), "OMP_DYNAMIC": "false"}
    program = [sys.executable, "-c", MAKE, str(folder / str(offered)), str(weights)]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE)


def test_a_seed_makes_the_same_frames_whatever_number_of_threads_the_machine_offers(
    tmp_path: Path, raw_weights: Path
) -> None:
    processes = [start_process(tmp_path, raw_weights, offered=number) for number in (1, 4)]

    videos = [json.loads(process.communicate(timeout=120)[0]) for process in processes]

    assert videos[1] == videos[0]
    assert videos[0]["threads"] == 1


def test_a_video_is_made_in_one_thread_and_leaves_the_caller_its_own(engine: Engine) -> None:
    seen: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        steps = 8
        for _ in engine.generate(
            ["a red circle"],
            0,
            num_inference_steps=steps,
            on_forward=lambda done, total: seen.append(torch.get_num_threads()),
        ):
            seen.append(-torch.get_num_threads())
    finally:
        torch.set_num_threads(before)

    assert set(seen) == {1, -3}


def test_another_thread_does_not_change_the_number_of_a_video() -> None:
    seen: list[int] = []

    def other() -> None:
        with Computing(4)():
            inside.set()
            over.wait()

    inside, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    with Computing(1)():
        thread.start()
        inside.wait()
        seen.append(torch.get_num_threads())
        over.set()
        thread.join()
        seen.append(torch.get_num_threads())

    assert seen == [1, 1]


def test_a_thread_that_never_computed_gets_the_number_too() -> None:
    seen: list[int] = []

    def fresh() -> None:
        with Computing(1)():
            torch.ones(64, 64) @ torch.ones(64, 64)
            seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        thread = threading.Thread(target=fresh)
        thread.start()
        thread.join()
    finally:
        torch.set_num_threads(before)

    assert seen == [1]


def test_the_number_can_be_set(raw_weights: Path) -> None:
    assert load_tiny(raw_weights, threads=2).computing.facts().threads == 2


REQUEST = VideoRequest.model_validate(
    {
        "prompt": "a red circle moving right",
        "model": "magi/tiny",
        "fps": 24,
        "num_frames": 48,
        "seed": 0,
        "options": {"magi": {"num_inference_steps": 8}},
    }
)


async def video(
    tmp_path: Path, weights: Path, threads: int | None, resume: ResumeToken | None = None
) -> tuple[JobCompleted, ResumeToken]:
    """Make the video, or the rest of it, and return its end and its first token."""
    backend = MagiBackend(
        BackendSettings(data_dir=tmp_path, threads=threads), [TinyFamily(weights)]
    )
    try:
        ref = await backend.submit(REQUEST, key="k", resume=resume)
        events = await events_of(backend, ref)
    finally:
        await backend.aclose()
    done = events[-1]
    assert isinstance(done, JobCompleted)
    token = next(event.resume for event in events if isinstance(event, ChunkReady))
    assert token is not None
    return done, token


@pytest.mark.anyio
async def test_what_a_video_was_computed_on_stands_in_its_end_and_in_its_state(
    tmp_path: Path, raw_weights: Path
) -> None:
    done, _ = await video(tmp_path, raw_weights, None)

    assert done.computation is not None
    assert done.computation.threads == 1
    assert (done.computation.device, done.computation.dtype) == ("cpu", usual_dtype())
    assert done.computation.library == f"torch {torch.__version__}"
    with safe_open(tmp_path / "work/k/states/00000001.safetensors", framework="pt") as state:
        facts = json.loads(state.metadata()["facts"])
    assert facts["computation"] == done.computation.model_dump(mode="json")


def cut_back(tmp_path: Path) -> None:
    """Leave of a finished video what a kill behind its first chunk would have left."""
    (tmp_path / "work/k/chunks/00000001.chunk").unlink()


@pytest.mark.anyio
async def test_resuming_with_another_number_of_threads_warns_and_names_both(
    tmp_path: Path, raw_weights: Path
) -> None:
    _, token = await video(tmp_path, raw_weights, None)
    cut_back(tmp_path)

    done, _ = await video(tmp_path, raw_weights, 2, token)

    (warning,) = done.warnings
    assert "threads 1" in warning
    assert "threads 2" in warning


@pytest.mark.anyio
async def test_resuming_as_it_was_begun_warns_of_nothing(tmp_path: Path, raw_weights: Path) -> None:
    _, token = await video(tmp_path, raw_weights, 1)
    cut_back(tmp_path)

    done, _ = await video(tmp_path, raw_weights, None, token)

    assert done.warnings == ()


def test_every_difference_is_named_and_what_nobody_noted_is_not() -> None:
    computing = Computing(1)
    facts = computing.facts().model_dump(mode="json")
    other = facts | {"library": "torch 2.4.0", "instructions": "of old"}

    said = computing.differences(other)

    assert [line.partition(" resumed")[0] for line in said] == [
        "started with instructions of old,",
        "started with library torch 2.4.0,",
    ]
    assert computing.differences(None) == ()
