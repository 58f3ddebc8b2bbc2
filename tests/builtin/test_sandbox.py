from contextlib import aclosing

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.builtin.sandbox import SandboxBackend, frames_per_chunk
from media_agent.builtin.slate import Slate
from media_agent.errors import InvalidRequestError, MediaAgentError
from media_agent.testing import events_of, frames_of
from media_agent_schemas import ChangePrompt, Finish, Shot, Size, VideoRequest

pytestmark = pytest.mark.anyio

SMALL = Size(width=96, height=64)


@pytest.fixture
async def backend(tmp_path):
    made = SandboxBackend(BackendSettings(data_dir=tmp_path), sleep=lambda seconds: None)
    yield made
    await made.aclose()


def request(frames=30, size=SMALL, options=None, **named):
    words = {} if "shots" in named else {"prompt": "a cat on the moon"}
    options = {"sandbox": options or {}}
    return VideoRequest(
        num_frames=frames, fps=24, size=size, options=options, **(words | {"seed": 0} | named)
    )


async def run(backend, wanted, key="job-1", resume=None):
    ref = await backend.submit(wanted, key=key, resume=resume)
    return await events_of(backend, ref)


async def test_a_slate_is_delivered_in_chunks_as_asked(backend):
    events = await run(backend, request(30))

    chunks = [event.frames for event in events if event.type == "chunk.ready"]
    facts = events[-1].artifacts[0].metadata
    assert chunks == [24, 6]
    assert (facts.width, facts.height, facts.frames, facts.fps) == (96, 64, 30, 24)
    assert events[-1].seed == 0


async def test_no_two_neighbouring_frames_are_equal(backend):
    frames = frames_of((await run(backend, request(30)))[-1]).astype(int)

    assert (np.abs(np.diff(frames, axis=0)).max(axis=(1, 2, 3)) > 50).all()


async def test_the_same_request_makes_the_same_frames_and_another_seed_others(backend):
    first = frames_of((await run(backend, request(5), key="a"))[-1])
    again = frames_of((await run(backend, request(5), key="b"))[-1])
    other = frames_of((await run(backend, request(5, seed=1), key="c"))[-1])

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(16, 16), (16, 400), (400, 16), (64, 64), (1920, 1080)])
def test_a_slate_of_any_size_can_be_drawn(size):
    width, height = size

    frames = Slate(request(2, size=Size(width=width, height=height))).frames(0, 2)

    assert frames.shape == (2, height, width, 3)
    assert not np.array_equal(frames[0], frames[1])


def test_every_shot_shows_its_own_prompt_on_exactly_its_frames():
    shots = (Shot(prompt="a cat", duration=0.5), Shot(prompt="a dog", duration=0.5))

    slate = Slate(request(24, shots=shots))

    assert [slate.prompt_at(frame) for frame in (0, 11, 12, 23)] == ["a cat"] * 2 + ["a dog"] * 2
    cat, dog = slate.frames(11, 12)[0], slate.frames(12, 13)[0]
    assert not np.array_equal(cat[:30], dog[:30])


def test_words_asked_for_change_what_is_drawn():
    plain = Slate(request(1, size=Size(width=640, height=360))).frames(0, 1)
    negative = Slate(request(1, size=Size(width=640, height=360), negative_prompt="dogs")).frames(
        0, 1
    )

    assert not np.array_equal(plain, negative)


def test_the_slate_says_in_red_that_it_is_no_video_of_a_model():
    frame = Slate(request(1, size=Size(width=640, height=360))).frames(0, 1)[0].astype(int)

    top = frame[:45]
    assert ((top[..., 0] > 150) & (top[..., 1] < 80) & (top[..., 2] < 80)).sum() > 100


def test_chunks_of_very_large_frames_stay_small_in_memory():
    assert frames_per_chunk(SMALL, 24) == 24
    assert frames_per_chunk(Size(width=4096, height=4096), 24) == 1


async def test_price_and_latency_are_invented_as_told(backend):
    wanted = request(48, options={"price_per_second": 0.25, "latency_seconds": 8})

    estimate = backend.estimate(wanted)

    assert (estimate.cost_usd, estimate.seconds) == (0.5, 8)
    assert "sandbox" in estimate.source


async def test_the_latency_is_waited_for_in_small_pieces(tmp_path):
    waited = []
    backend = SandboxBackend(BackendSettings(data_dir=tmp_path), sleep=waited.append)

    await run(backend, request(30, options={"latency_seconds": 3}))
    await backend.aclose()

    assert sum(waited) == pytest.approx(3)
    assert max(waited) <= 0.05


async def test_it_fails_at_submission_when_told(backend):
    wanted = request(options={"fail_at": "submit", "fault": "backend_rate_limit"})

    with pytest.raises(MediaAgentError) as caught:
        await backend.submit(wanted, key="job-1")

    assert caught.value.code == "backend_rate_limit"


@pytest.mark.parametrize(
    ("fault", "code"),
    [("content_rejected", "content_rejected"), ("crash", "generation_failed")],
)
async def test_it_fails_at_a_chunk_when_told_and_keeps_those_before(backend, fault, code):
    events = await run(backend, request(72, options={"fail_at": "chunk:2", "fault": fault}))

    assert events[-1].type == "job.failed"
    assert events[-1].error.code == code
    assert len(frames_of(events[-1])) == 48


@pytest.mark.parametrize("place", ["chunk", "chunk:x", "chunk:-1", "somewhere", ""])
async def test_a_place_to_fail_that_does_not_exist_is_refused(backend, place):
    with pytest.raises(InvalidRequestError, match="fail_at"):
        await backend.submit(request(options={"fail_at": place}), key="job-1")


async def test_options_from_the_settings_hold_until_a_request_says_otherwise(tmp_path):
    backend = SandboxBackend(BackendSettings(data_dir=tmp_path, options={"price_per_second": 1}))

    dear = backend.estimate(request(24)).cost_usd
    cheap = backend.estimate(request(24, options={"price_per_second": 0})).cost_usd
    await backend.aclose()

    assert (dear, cheap) == (1, 0)


async def test_an_unknown_model_is_answered_with_the_nearest(backend):
    with pytest.raises(InvalidRequestError, match="slat") as caught:
        backend.capabilities("slat")

    assert "did you mean slate?" in (caught.value.hint or "")


async def test_an_endless_video_takes_a_new_prompt_and_finishes_when_told(backend):
    endless = VideoRequest(prompt="a cat", endless=True, fps=24, size=SMALL)
    ref = await backend.submit(endless, key="endless")
    seen = []

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            seen.append(event)
            if event.type == "chunk.ready" and event.index == 0:
                await backend.control(ref, ChangePrompt(prompt="a dog"), number=1)
            if event.type == "prompt.changed":
                await backend.control(ref, Finish(), number=2)

    assert seen[-1].type == "job.completed"
    changed = next(event for event in seen if event.type == "prompt.changed")
    assert changed.prompt == "a dog"
    assert seen[-1].chunks > changed.chunk


async def test_a_video_that_continues_after_a_crash_is_the_same_video(backend, tmp_path):
    whole = frames_of((await run(backend, request(72), key="whole"))[-1])
    broken = await run(backend, request(72), key="broken")
    token = [event for event in broken if event.type == "chunk.ready"][1].resume

    other = SandboxBackend(BackendSettings(data_dir=tmp_path))
    resumed = await run(other, request(72), key="broken", resume=token)
    await other.aclose()

    assert np.array_equal(frames_of(resumed[-1]), whole)


async def test_a_video_can_be_stopped_while_it_pretends_to_work(tmp_path):
    backend = SandboxBackend(BackendSettings(data_dir=tmp_path))
    ref = await backend.submit(request(options={"latency_seconds": 600}), key="slow")

    await backend.cancel(ref)
    last = (await events_of(backend, ref))[-1]
    await backend.aclose()

    assert last.type == "job.cancelled"
