import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, LocalBackend
from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.errors import (
    BackendUnavailableError,
    ContentRejectedError,
    IdempotencyConflictError,
    InvalidRequestError,
    NotResumableError,
    OperationNotFoundError,
    UnsupportedRequestError,
)
from media_agent.testing import events_of, frames_of
from media_agent.video.codec import read_frames
from media_agent_schemas import (
    Capabilities,
    ChangePrompt,
    Control,
    Estimate,
    Finish,
    OperationRef,
    ResumeToken,
    VideoRequest,
)

pytestmark = pytest.mark.anyio


def gray_chunk(index, frames=6):
    token = ResumeToken(backend="gray", model="one", next_chunk=index + 1)
    return Chunk(index, np.full((frames, 32, 32, 3), 10 * index, np.uint8), token)


class GrayBackend(LocalBackend):
    """Makes gray frames; `before` is called in the worker thread before every chunk."""

    def __init__(self, settings, before=lambda index, context: None, controls=()):
        super().__init__(settings)
        self.before = before
        self.controls = controls

    @property
    def name(self):
        return "gray"

    def capabilities(self, model=None):
        return Capabilities(backend="gray", model="one", resumable=True, controls=self.controls)

    def estimate(self, request):
        return Estimate(cost_usd=0)

    def generate(self, request, context):
        first = 0 if context.resume is None else context.resume.next_chunk
        for index in range(first, 100):
            self.before(index, context)
            context.check()
            context.report("denoise", min(1.0, index / 5))
            yield gray_chunk(index)


@pytest.fixture
async def make(tmp_path):
    made = []

    def build(*arguments, **named):
        made.append(GrayBackend(BackendSettings(data_dir=tmp_path), *arguments, **named))
        return made[-1]

    yield build
    for backend in made:
        await backend.aclose()


def request(frames=15, **named):
    return VideoRequest(prompt="gray", num_frames=frames, fps=24, model="gray/one", **named)


def types_of(events, leave_out=("job.progressed",)):
    return [event.type for event in events if event.type not in leave_out]


async def test_a_video_comes_chunk_by_chunk_and_is_cut_to_the_frames_asked(make):
    backend: VideoBackend = make()

    ref = await backend.submit(request(15, seed=7), key="job-1")
    events = await events_of(backend, ref)

    chunks = [event for event in events if event.type == "chunk.ready"]
    assert types_of(events) == ["job.started", *["chunk.ready"] * 3, "job.completed"]
    assert [(chunk.index, chunk.frames) for chunk in chunks] == [(0, 6), (1, 6), (2, 3)]
    assert [chunk.resume.next_chunk for chunk in chunks] == [1, 2, 3]
    completed = events[-1]
    assert (completed.frames, completed.chunks, completed.seed) == (15, 3, 7)
    assert completed.artifacts[0].metadata.frames == 15
    assert len(frames_of(completed)) == 15
    assert completed.timing.first_chunk_seconds <= completed.timing.total_seconds


async def test_the_growing_video_holds_every_chunk_that_was_announced(make):
    may_continue = threading.Semaphore(1)
    backend = make(lambda index, context: may_continue.acquire())
    ref = await backend.submit(request(18), key="job-1")
    seen = []

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if event.type == "chunk.ready":
                seen.append(len(read_frames(Path(event.path))))
                may_continue.release()

    assert seen == [6, 12, 18]


async def test_every_observer_sees_everything_also_afterwards(make):
    backend = make()
    ref = await backend.submit(request(), key="job-1")

    both = await asyncio.gather(events_of(backend, ref), events_of(backend, ref))
    later = await events_of(backend, ref)

    assert types_of(both[0]) == types_of(both[1]) == types_of(later)
    assert later[-1] == both[0][-1]


async def test_a_cancelled_job_stops_between_steps_and_keeps_its_chunks(make):
    steps = []

    def many_steps(index, context):
        if index == 2:
            while True:
                steps.append(index)
                context.check()
                cancelled.wait()

    cancelled = threading.Event()
    backend = make(many_steps)
    ref = await backend.submit(request(60), key="job-1")
    seen = []
    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            seen.append(event)
            if event.type == "chunk.ready" and event.index == 1:
                await backend.cancel(ref)
                cancelled.set()

    assert seen[-1].type == "job.cancelled"
    assert len(steps) <= 2
    assert seen[-1].artifacts[0].path.endswith("video.partial.mp4")
    assert seen[-1].artifacts[0].kind == "partial_video"
    assert len(frames_of(seen[-1])) == seen[-1].frames == 12


async def test_a_job_cancelled_before_its_first_chunk_has_no_video(make):
    arrived, proceed = threading.Event(), threading.Event()

    def wait(index, context):
        arrived.set()
        proceed.wait(5)

    backend = make(wait)
    ref = await backend.submit(request(), key="job-1")
    await asyncio.to_thread(arrived.wait, 5)
    await backend.cancel(ref)
    proceed.set()

    last = (await events_of(backend, ref))[-1]

    assert last.type == "job.cancelled"
    assert (last.artifacts, last.frames) == ((), 0)


async def test_a_second_job_waits_and_can_be_cancelled_while_it_waits(make):
    arrived, proceed = threading.Event(), threading.Event()

    def wait(index, context):
        arrived.set()
        proceed.wait(5)

    backend = make(wait)
    first = await backend.submit(request(6), key="job-1")
    await asyncio.to_thread(arrived.wait, 5)
    second = await backend.submit(request(6), key="job-2")

    await backend.cancel(second)
    await backend.cancel(second)
    waited, end = await events_of(backend, second)
    proceed.set()

    assert (waited.type, waited.phase) == ("job.progressed", "waiting for job-1")
    assert end.type == "job.cancelled"
    assert types_of(await events_of(backend, first))[-1] == "job.completed"


async def test_cancelling_a_finished_job_changes_nothing(make):
    backend = make()
    ref = await backend.submit(request(6), key="job-1")
    before = await events_of(backend, ref)

    await backend.cancel(ref)

    assert await events_of(backend, ref) == before


async def test_a_typed_error_keeps_its_code_and_the_chunks_made_so_far(make):
    def refuse(index, context):
        if index == 1:
            raise ContentRejectedError("no such gray", hint="ask for another")

    backend = make(refuse)
    ref = await backend.submit(request(), key="job-1")

    last = (await events_of(backend, ref))[-1]

    assert last.type == "job.failed"
    assert (last.error.code, last.error.hint) == ("content_rejected", "ask for another")
    assert last.artifacts[0].metadata.frames == 6


async def test_an_unexpected_error_is_data_and_its_traceback_is_in_a_file(make, tmp_path):
    def break_down(index, context):
        raise ZeroDivisionError("by zero")

    backend = make(break_down)
    ref = await backend.submit(request(), key="job-1")

    last = (await events_of(backend, ref))[-1]

    assert last.error.code == "generation_failed"
    assert "gray/one" in last.error.message
    assert "ZeroDivisionError: by zero" in last.error.message
    assert "Traceback" not in last.error.message
    path = tmp_path / "work" / "job-1" / "traceback.txt"
    assert last.error.hint == f"details in {path}"
    assert "break_down" in path.read_text()


async def test_a_full_disk_is_said_in_words(make):
    def fill_the_disk(index, context):
        if index == 1:
            raise OSError(28, "No space left on device")

    backend = make(fill_the_disk)
    ref = await backend.submit(request(), key="job-1")

    last = (await events_of(backend, ref))[-1]

    assert last.error.code == "storage"
    assert "the disk is full" in last.error.message


async def test_a_resumed_video_equals_an_uninterrupted_one(make):
    def break_at_two(index, context):
        if index == 2 and context.resume is None:
            raise RuntimeError("power cut")

    backend = make(break_at_two)
    ref = await backend.submit(request(24), key="job-1")
    broken = await events_of(backend, ref)
    token = [event for event in broken if event.type == "chunk.ready"][-1].resume

    ref = await backend.submit(request(24), key="job-1", resume=token)
    resumed = await events_of(backend, ref)

    straight = make()
    whole = await events_of(straight, await straight.submit(request(24), key="whole"))
    assert [event.index for event in resumed if event.type == "chunk.ready"] == [2, 3]
    assert np.array_equal(frames_of(resumed[-1]), frames_of(whole[-1]))


async def test_a_token_resumes_in_another_process(make):
    first, second = make(), make()
    events = await events_of(first, await first.submit(request(12), key="job-1"))
    token = next(event for event in events if event.type == "chunk.ready").resume

    ref = await second.submit(request(12), key="job-1", resume=token)
    resumed = await events_of(second, ref)

    assert [event.index for event in resumed if event.type == "chunk.ready"] == [1]
    assert resumed[-1].artifacts[0].metadata.frames == 12


async def test_a_token_whose_chunks_are_gone_fails_the_job_clearly(make):
    token = ResumeToken(backend="gray", model="one", next_chunk=3)
    backend = make()

    ref = await backend.submit(request(), key="never-begun", resume=token)
    last = (await events_of(backend, ref))[-1]

    assert last.error.code == "not_resumable"
    assert "00000000.chunk" in last.error.message


async def test_a_token_of_another_backend_is_refused(make):
    token = ResumeToken(backend="color", model="one", next_chunk=1)

    with pytest.raises(NotResumableError, match="color/one"):
        await make().submit(request(), key="job-1", resume=token)


async def test_the_same_key_is_the_same_operation_and_never_another_request(make):
    backend = make()

    first = await backend.submit(request(), key="job-1")
    second = await backend.submit(request(), key="job-1")

    assert first == second
    with pytest.raises(IdempotencyConflictError, match="job-1"):
        await backend.submit(request(seed=1), key="job-1")


@pytest.mark.parametrize("key", ["", "../escape", "a/b", ".hidden", "x" * 300, "nul\0"])
async def test_a_key_that_is_no_folder_name_is_refused(make, key):
    with pytest.raises(InvalidRequestError, match="folder"):
        await make().submit(request(), key=key)


async def test_an_unknown_operation_is_named(make):
    with pytest.raises(OperationNotFoundError, match="nowhere"):
        await events_of(make(), OperationRef(backend="gray", operation_id="nowhere"))


async def test_commands_reach_the_generator(make):
    heard = []
    started, sent = threading.Event(), threading.Event()

    def listen(index, context):
        if index == 1:
            started.set()
            sent.wait(5)
            for _, command in context.commands():
                heard.append(command)
                context.announce_prompt(index, command.prompt)

    backend = make(listen, controls=(Control.CHANGE_PROMPT,))
    ref = await backend.submit(request(12), key="job-1")
    await asyncio.to_thread(started.wait, 5)
    await backend.control(ref, ChangePrompt(prompt="darker"), number=1)
    sent.set()

    events = await events_of(backend, ref)

    assert heard == [ChangePrompt(prompt="darker")]
    changed = next(event for event in events if event.type == "prompt.changed")
    assert (changed.chunk, changed.prompt) == (1, "darker")


async def test_a_command_that_is_not_declared_is_refused(make):
    backend = make()
    ref = await backend.submit(request(), key="job-1")

    with pytest.raises(UnsupportedRequestError, match="finish"):
        await backend.control(ref, Finish(), number=1)


async def test_warnings_and_prompts_reach_the_delivery(make):
    def speak(index, context):
        context.warn(f"chunk {index} is gray")
        context.record_prompts(("very gray",))

    backend = make(speak)

    last = (await events_of(backend, await backend.submit(request(6), key="job-1")))[-1]

    assert last.warnings == ("chunk 0 is gray",)
    assert last.prompts_sent == ("very gray",)


async def test_closing_stops_running_work_and_refuses_new(make):
    backend = make()
    ref = await backend.submit(
        VideoRequest(prompt="gray", endless=True, fps=24, model="gray/one"), key="endless"
    )

    await backend.aclose()

    assert (await events_of(backend, ref))[-1].type in ("job.cancelled", "job.completed")
    with pytest.raises(BackendUnavailableError, match="closed"):
        await backend.submit(request(), key="job-2")


ENDLESS = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from test_local import GrayBackend, BackendSettings, VideoRequest

async def main():
    def hold(index, context):
        while True:
            context.check()
    backend = GrayBackend(BackendSettings(data_dir=pathlib.Path(sys.argv[1])), hold)
    request = VideoRequest(prompt="gray", endless=True, fps=24, model="gray/one")
    await backend.submit(request, key="endless")

asyncio.run(main())
"""


async def test_a_process_that_forgets_to_close_still_ends(tmp_path):
    command = [sys.executable, "-c", ENDLESS, str(tmp_path), str(Path(__file__).parent)]

    done = await asyncio.to_thread(subprocess.run, command, timeout=30, check=False)

    assert done.returncode == 0
