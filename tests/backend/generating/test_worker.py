import asyncio
import errno
import os
import re
import resource
import shutil
import threading
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, LocalBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import InvalidRequestError, NotResumableError
from media_agent.storage.work_folder import state_name, thin_states
from media_agent.testing import events_of
from media_agent.video.codec import encode_chunk, read_frames
from media_agent.video.growing import Video
from media_agent_schemas import (
    Capabilities,
    ChunkReady,
    Estimate,
    ResumeToken,
    VideoRequest,
)

pytestmark = pytest.mark.anyio


def image(index):
    """Six frames that no other chunk has, hard enough to encode to be a few kilobytes."""
    return np.random.default_rng(index).integers(0, 256, (6, 64, 64, 3), np.uint8)


class StatefulBackend(LocalBackend):
    """Adds up the numbers of its chunks: the sum is its state, and decides the image."""

    def __init__(self, folder, *, generating=None, decoding=None, saving=None, keep=8):
        super().__init__(BackendSettings(data_dir=folder))
        self.generating, self.decoding, self.saving = generating, decoding, saving
        self.keep = keep

    @property
    def name(self):
        return "sums"

    def capabilities(self, model=None):
        return Capabilities(backend="sums", model="one", resumable=True)

    def estimate(self, request):
        return Estimate(cost_usd=0)

    def generate(self, request, context):
        context.keep_states(self.keep)
        first, total = 0, 0
        if context.resume is not None:
            first = context.resume.next_chunk
            total = int((context.work_dir / "states" / state_name(first)).read_text())
        for index in range(first, -(-request.num_frames // 6)):
            if self.generating is not None:
                self.generating(index, context)
            context.check()
            total += index
            yield Chunk(
                index,
                lambda index=index, total=total: self._decode(index, total),
                ResumeToken(backend="sums", model="one", next_chunk=index + 1),
                lambda path, index=index, total=total: self._save(path, index, total),
            )

    def _decode(self, index, total):
        if self.decoding is not None:
            self.decoding(index)
        return image(total)

    def _save(self, path, index, total):
        path.write_text(str(total))
        if self.saving is not None:
            self.saving(index, path)


@pytest.fixture
async def make(tmp_path):
    made = []

    def build(**named):
        made.append(StatefulBackend(tmp_path, **named))
        return made[-1]

    yield build
    for backend in made:
        await backend.aclose()


def request(frames=24, **named):
    return VideoRequest(prompt="sums", num_frames=frames, fps=24, model="sums/one", **named)


async def video_of(backend, key, frames=24, resume=None):
    """Return the events, of which the last is the only terminal one."""
    ref = await backend.submit(request(frames), key=key, resume=resume)
    return await events_of(backend, ref)


def frames_of(events):
    return read_frames(Path(events[-1].artifacts[0].path))


def chunks_of(events):
    return [event.index for event in events if isinstance(event, ChunkReady)]


def token(next_chunk, key=None):
    return ResumeToken(backend="sums", model="one", next_chunk=next_chunk, key=key)


def offline(folder, chunks):
    """Return the frames of a video made in one go, without threads or resuming."""
    with Video(folder / "offline", fps=24) as video:
        for index in range(chunks):
            video.add(image(sum(range(index + 1))))
    return read_frames(video.part_path)


async def test_the_next_chunk_is_generated_while_one_is_decoded(make):
    begun = [threading.Event() for _ in range(5)]
    overlapped = []
    backend = make(
        generating=lambda index, context: begun[index].set(),
        decoding=lambda index: overlapped.append(begun[min(index + 1, 4)].wait(5)),
    )

    await video_of(backend, "overlap", frames=30)

    assert overlapped == [True] * 5


async def test_a_slow_writer_stops_the_generator(make):
    generated, furthest = 0, 0

    def generating(index, context):
        nonlocal generated
        generated = index + 1

    def saving(index, path):
        nonlocal furthest
        furthest = max(furthest, generated - index)

    backend = make(generating=generating, saving=saving)

    await video_of(backend, "slow", frames=120)

    assert 1 <= furthest <= 6  # two begun in each stage before, one in hand, one on its way


async def test_the_video_made_in_stages_is_the_video_made_at_once(make, tmp_path):
    events = await video_of(make(), "stages", frames=36)

    assert np.array_equal(frames_of(events), offline(tmp_path, chunks=6))


@pytest.mark.parametrize("stage", ["generating", "decoding", "saving"])
async def test_an_error_in_any_stage_ends_the_job_once_and_keeps_the_video(make, stage):
    def break_down(index, *_):
        if index == 2:
            raise ZeroDivisionError("by zero")

    events = await video_of(make(**{stage: break_down}), "broken", frames=600)

    assert [event.type for event in events if event.type.startswith("job.")] == [
        "job.started",
        "job.failed",
    ]
    assert "by zero" in events[-1].error.message
    assert chunks_of(events) == [0, 1]
    assert len(frames_of(events)) == events[-1].frames >= 12


async def test_a_generator_that_ends_its_process_ends_its_job_only(make):
    def leave(index, context):
        if index == 1:
            raise SystemExit(3)

    events = await video_of(make(generating=leave), "left")

    assert events[-1].type == "job.failed"
    assert "SystemExit: 3" in events[-1].error.message
    assert len(frames_of(events)) == 6


async def test_a_backend_that_cannot_say_what_it_is_still_ends_its_job(make):
    def forget(index, context):
        backend.capabilities = lambda model: 1 / 0

    backend = make(generating=forget)

    events = await video_of(backend, "dumb")

    assert [event.type for event in events if event.type.startswith("job.")] == [
        "job.started",
        "job.failed",
    ]
    assert "ZeroDivisionError" in events[-1].error.message


@pytest.mark.parametrize("stage", ["generating", "decoding", "saving"])
async def test_a_job_cancelled_in_any_stage_keeps_what_was_generated_before(make, stage):
    arrived, proceed = threading.Event(), threading.Event()

    def wait(index, *_):
        if index == 2:
            arrived.set()
            proceed.wait(5)

    backend = make(**{stage: wait})
    ref = await backend.submit(request(600), key="stopped")
    await asyncio.to_thread(arrived.wait, 5)
    await backend.cancel(ref)
    proceed.set()
    seen = await events_of(backend, ref)

    assert seen[-1].type == "job.cancelled"
    assert chunks_of(seen)[:2] == [0, 1]
    assert len(frames_of(seen)) == seen[-1].frames == 6 * len(chunks_of(seen))
    assert threads_of_stages() == []


def threads_of_stages():
    return [each.name for each in threading.enumerate() if each.name.endswith("-ahead")]


async def test_no_thread_is_left_after_a_job(make):
    await video_of(make(), "alone")

    assert threads_of_stages() == []


async def test_what_is_announced_is_on_disk_chunk_and_state(make, tmp_path):
    backend, work = make(), tmp_path / "work" / "durable"
    ref = await backend.submit(request(24), key="durable")

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if isinstance(event, ChunkReady):
                assert (work / "chunks" / f"{event.index:08d}.chunk").exists()
                assert (work / "states" / state_name(event.resume.next_chunk)).exists()


async def test_a_video_continues_from_any_state_that_is_kept(make):
    whole = await video_of(make(), "whole", frames=36)

    resumed = await video_of(make(), "whole", frames=36, resume=token(4))

    assert chunks_of(resumed) == [4, 5]
    assert np.array_equal(frames_of(resumed), frames_of(whole))


async def test_states_and_chunks_after_the_point_of_resuming_are_forgotten(make, tmp_path):
    await video_of(make(), "job", frames=36)

    await video_of(make(), "job", frames=12, resume=token(2))

    work = tmp_path / "work" / "job"
    assert names(work / "chunks") == ["00000000.chunk", "00000001.chunk"]
    assert names(work / "states") == [state_name(1), state_name(2)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("keep", [2, 3])
async def test_the_newest_states_are_kept(make, tmp_path, keep):
    proceed = threading.Semaphore(2)
    backend = make(keep=keep, generating=lambda index, context: proceed.acquire(timeout=5))
    ref = await backend.submit(request(60), key="job")
    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if isinstance(event, ChunkReady):
                proceed.release()

    kept = [state_name(number) for number in thin_states(range(1, 11), keep)]
    assert names(tmp_path / "work" / "job" / "states") == kept


async def test_a_state_is_kept_until_an_observer_has_dealt_with_the_next(make, tmp_path):
    backend, states = make(keep=1), tmp_path / "work" / "job" / "states"
    ref = await backend.submit(request(60), key="job")

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if isinstance(event, ChunkReady) and event.index > 0:
                assert (states / state_name(event.resume.next_chunk - 1)).exists()


async def test_a_video_branches_off_another_one(make, tmp_path):
    whole = await video_of(make(), "first", frames=36)
    before = names(tmp_path / "work" / "first" / "chunks")

    branch = await video_of(make(), "second", frames=48, resume=token(3, key="first"))

    assert chunks_of(branch) == [3, 4, 5, 6, 7]
    assert np.array_equal(frames_of(branch)[:36], frames_of(whole))
    assert names(tmp_path / "work" / "first" / "chunks") == before


async def test_a_branch_continues_after_its_first_video_is_gone(make, tmp_path):
    await video_of(make(), "first", frames=36)
    branch = await video_of(make(), "second", frames=30, resume=token(3, key="first"))
    shutil.rmtree(tmp_path / "work" / "first")

    resumed = await video_of(make(), "second", frames=30, resume=token(4))

    assert chunks_of(resumed) == [4]
    assert np.array_equal(frames_of(resumed), frames_of(branch))


async def test_a_branch_that_waits_for_a_worker_needs_its_video_no_more(make, tmp_path):
    proceed = threading.Event()
    backend = make(generating=lambda index, context: index < 3 or proceed.wait(10))
    whole = await video_of(make(), "first", frames=18)
    await backend.submit(request(24), key="busy")
    branch = await backend.submit(request(30), key="second", resume=token(3, key="first"))
    shutil.rmtree(tmp_path / "work" / "first")
    proceed.set()

    events = await events_of(backend, branch)

    assert chunks_of(events) == [3, 4]
    assert len(frames_of(events)) == 30
    assert whole[-1].frames == 18


async def test_a_branch_off_a_video_that_is_gone_is_refused_by_name(make, tmp_path):
    await video_of(make(), "first", frames=18)
    lost = tmp_path / "work" / "first" / "chunks" / "00000001.chunk"
    lost.unlink()

    with pytest.raises(NotResumableError, match=re.escape(str(lost))):
        await make().submit(request(), key="second", resume=token(3, key="first"))


async def test_a_video_of_which_a_chunk_is_damaged_delivers_those_before_it(make, tmp_path):
    await video_of(make(), "video", frames=36)
    (tmp_path / "work" / "video" / "chunks" / "00000002.chunk").write_bytes(b"half")

    events = await video_of(make(), "video", frames=48, resume=token(4))

    assert events[-1].error.code == "not_resumable"
    assert len(frames_of(events)) == 12
    assert (events[-1].chunks, events[-1].frames) == (2, 12)


@pytest.mark.parametrize("key", ["../first", "/tmp", ""])
async def test_a_token_that_leads_out_of_the_work_folder_is_refused(make, key):
    with pytest.raises(InvalidRequestError, match="cannot name a folder"):
        await make().submit(request(), key="second", resume=token(3, key=key))


async def test_a_disk_too_full_for_a_state_is_said_and_the_video_can_continue(make, tmp_path):
    def full(index, path):
        if index == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    failed = await video_of(make(saving=full), "job", frames=36)
    resumed = await video_of(make(), "job", frames=36, resume=token(2))

    error = failed[-1].error
    assert error.code == "storage"
    assert str(tmp_path / "work" / "job" / "states" / state_name(3)) in error.message
    assert "bytes are free" in error.message
    assert len(frames_of(failed)) == 18
    assert np.array_equal(frames_of(resumed), offline(tmp_path, chunks=6))
    assert list((tmp_path / "work" / "job").rglob("*.tmp")) == []


@pytest.fixture
def largest_file():
    """Let no file grow above so many bytes, as a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_video_that_has_no_room_to_grow_is_kept_without_half_a_chunk(
    make, tmp_path, largest_file
):
    size = len(encode_chunk(image(0), fps=24))
    largest_file(int(3.5 * size))

    events = await video_of(make(), "job", frames=60)

    assert events[-1].error.code == "storage"
    assert str(tmp_path / "work" / "job" / "video.part.mp4") in events[-1].error.message
    assert chunks_of(events) == [0, 1, 2]
    assert len(frames_of(events)) == events[-1].frames == 18
