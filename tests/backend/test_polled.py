"""The base of polled backends: pacing, deadline, cancelling, and what a failed poll is not."""

import asyncio
import gc
import weakref
from datetime import UTC, datetime

import pytest

from media_agent.backend import watch
from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendRateLimitError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidRequestError,
    ModelRetiredError,
    NotResumableError,
    OperationNotFoundError,
    UnsupportedRequestError,
)
from media_agent.testing import events_of
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import JobCompleted, JobFailed, JobProgressed
from media_agent_schemas.jobs import Finish, OperationRef, ResumeToken
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest

pytestmark = pytest.mark.anyio

REQUEST = VideoRequest(prompt="a cat")
WAITING = JobProgressed(phase="queued")
WORKING = JobProgressed(phase="generate")
DONE = JobCompleted()


class ScriptedBackend(PolledBackend):
    """Says what a script says; time passes only while it sleeps."""

    def __init__(self, tmp_path, *script, cancels=False, sleep=None, **options):
        self.time, self.pauses, self.sent, self.stopped = 1000.0, [], [], []
        self.script, self.cancels = list(script), cancels
        settings = BackendSettings(data_dir=tmp_path, options=options)
        super().__init__(settings, clock=lambda: self.time, sleep=sleep or self.rest)

    async def rest(self, seconds):
        self.pauses.append(seconds)
        self.time += seconds

    @property
    def name(self):
        return "scripted"

    def capabilities(self, model=None):
        return Capabilities(backend="scripted", model="only")

    def estimate(self, request):
        return Estimate()

    async def submit_once(self, request, *, key):
        self.sent.append(key)
        await asyncio.sleep(0)
        return OperationRef(backend="scripted", model="only", operation_id=f"op-{len(self.sent)}")

    async def status(self, ref):
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if callable(said):
            said = said(self)
        if isinstance(said, Exception):
            raise said
        return said

    async def cancel_once(self, ref):
        if not self.cancels:
            await super().cancel_once(ref)
        self.stopped.append(ref.operation_id)


async def run(backend, **options):
    ref = await backend.submit(REQUEST.model_copy(update=options), key="job-1")
    return await events_of(backend, ref)


def kinds(events):
    return [event.type for event in events]


async def test_work_is_started_when_the_provider_says_more_than_queued(tmp_path):
    events = await run(ScriptedBackend(tmp_path, WAITING, WAITING, WORKING, WORKING, DONE))

    assert kinds(events) == ["job.progressed", "job.started", "job.progressed", "job.completed"]
    assert [events[0], events[2]] == [WAITING, WORKING]


async def test_work_that_is_done_at_the_first_look_was_started_too(tmp_path):
    events = await run(ScriptedBackend(tmp_path, WAITING, DONE))

    assert kinds(events) == ["job.progressed", "job.started", "job.completed"]


@pytest.mark.parametrize("cancels", [True, False])
async def test_nothing_is_said_of_bills_where_nothing_is_paid(tmp_path, cancels):
    class Own(ScriptedBackend):
        bills = False

    late = await run(Own(tmp_path, WORKING, cancels=cancels, deadline_seconds=100))
    backend = Own(tmp_path, WORKING, cancels=cancels)
    ref = await backend.submit(REQUEST, key="job-1")
    await backend.cancel(ref)
    stopped = (await collect(backend.observe(ref)))[-1]

    said = (late[-1].error.message, late[-1].error.hint, stopped.cancellation.said)
    assert not any("bill" in text for text in said)
    assert "continues" in said[-1] or "may still finish" in said[-1]


async def test_pauses_grow_to_a_maximum(tmp_path):
    backend = ScriptedBackend(tmp_path, *[WORKING] * 30, DONE)

    await run(backend)

    assert backend.pauses[0] == backend.poll_seconds
    assert backend.pauses == sorted(backend.pauses)
    assert backend.pauses[-1] == backend.longest_poll_seconds


async def test_the_first_pause_can_be_set(tmp_path):
    backend = ScriptedBackend(tmp_path, WORKING, DONE, poll_seconds=0.5)

    await run(backend)

    assert backend.pauses == [0.5]


@pytest.mark.parametrize("value", [0, -1, "soon", True, float("nan")])
async def test_an_impossible_setting_is_named_before_anything_is_sent(tmp_path, value):
    backend = ScriptedBackend(tmp_path, DONE, deadline_seconds=value)

    with pytest.raises(ConfigurationError, match="deadline_seconds"):
        await run(backend)

    assert backend.sent == []


async def test_a_provider_that_was_asked_too_often_is_asked_again_when_it_says(tmp_path):
    backend = ScriptedBackend(
        tmp_path, BackendRateLimitError("slowly", retry_after=40), WORKING, DONE
    )

    events = await run(backend)

    assert backend.pauses[0] == 40
    assert kinds(events)[-1] == "job.completed"


async def test_a_request_for_a_later_poll_ends_with_the_deadline(tmp_path):
    slowly = BackendRateLimitError("slowly", retry_after=10 * 86400)
    backend = ScriptedBackend(tmp_path, WORKING, slowly, deadline_seconds=600)

    events = await run(backend)

    assert events[-1].type == "job.outcome_unknown"
    assert backend.time == 1000 + 600


async def test_a_request_for_a_later_poll_ends_when_a_cancel_is_not_confirmed(tmp_path):
    slowly = BackendRateLimitError("slowly", retry_after=3000)
    backend = ScriptedBackend(tmp_path, slowly, cancels=True)
    ref = await backend.submit(REQUEST, key="job-1")

    await backend.cancel(ref)
    events = await collect(backend.observe(ref))

    assert events[-1].type == "job.cancelled"
    assert backend.time == 1000 + backend.cancel_grace_seconds


async def test_a_request_for_a_later_poll_is_granted(tmp_path):
    backend = ScriptedBackend(tmp_path, WORKING, DONE)
    ref = await backend.submit(REQUEST, key="job-1")
    backend.postpone(ref, 30)
    backend.postpone(ref, None)

    assert len(await events_of(backend, ref)) == 3

    assert backend.pauses == [30]


@pytest.mark.parametrize(
    "trouble",
    [
        BackendUnavailableError("gone"),
        BackendResponseError("<html>"),
        InvalidRequestError("answered with status 400"),
        ModelRetiredError("answered with status 410"),
    ],
)
async def test_a_failed_poll_is_not_a_failed_job(tmp_path, trouble):
    backend = ScriptedBackend(tmp_path, WORKING, trouble, DONE)
    ref = await backend.submit(REQUEST, key="job-1")

    with pytest.raises(BackendUnavailableError):
        await collect(backend.observe(ref))
    again = await events_of(backend, ref)

    assert kinds(again) == ["job.started", "job.completed"]
    assert backend.sent == ["job-1"]


async def test_a_video_that_cannot_be_made_is_not_asked_for_again_and_again(tmp_path):
    def fetches(backend):
        backend.video_path(ref)
        return InvalidRequestError("frames are 1x1")

    backend = ScriptedBackend(tmp_path, WORKING, fetches)
    ref = await backend.submit(REQUEST, key="job-1")

    end = (await collect(backend.observe(ref)))[-1]

    assert end.type == "job.outcome_unknown"
    assert end.error.message == "frames are 1x1"


async def test_a_machine_that_slept_over_the_deadline_asks_before_it_gives_up(tmp_path):
    def asleep(backend):
        backend.time += 3 * 3600
        return BackendUnavailableError("no network yet")

    backend = ScriptedBackend(tmp_path, WORKING, asleep, WORKING, DONE, cancels=True)
    ref = await backend.submit(REQUEST, key="job-1")

    with pytest.raises(BackendUnavailableError):
        await collect(backend.observe(ref))
    events = await collect(backend.observe(ref))

    assert kinds(events)[-1] == "job.completed"
    assert backend.stopped == []


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_poll_without_an_answer_outlives_neither_deadline_nor_cancel(
    tmp_path, monkeypatch, is_cancelled
):
    class Silent(ScriptedBackend):
        cancel_grace_seconds = 0.05

        async def status(self, ref):
            await asyncio.sleep(60)

    monkeypatch.setattr("media_agent.backend.watch._STOP_SECONDS", 0.01)
    deadline = 1e6 if is_cancelled else 0.05
    backend = Silent(tmp_path, WORKING, cancels=True, deadline_seconds=deadline)
    ref = await backend.submit(REQUEST, key="job-1")
    if is_cancelled:
        await backend.cancel(ref)

    async with asyncio.timeout(60):
        (end,) = await collect(backend.observe(ref))

    assert end.type == ("job.cancelled" if is_cancelled else "job.outcome_unknown")
    assert not is_cancelled or end.cancellation.stopped == "unknown"


@pytest.mark.parametrize("jump", [3 * 3600, -3 * 3600, -10 * 365 * 86400])
async def test_a_clock_that_jumps_uses_up_no_patience(tmp_path, jump):
    def jumps(backend):
        backend.time += jump
        return WORKING

    backend = ScriptedBackend(tmp_path, WORKING, jumps, WORKING, DONE, cancels=True)

    assert kinds(await run(backend))[-1] == "job.completed"
    assert backend.stopped == []


async def test_who_resumes_late_waits_as_long_again_and_stops_nothing(tmp_path):
    first = ScriptedBackend(tmp_path, WORKING, deadline_seconds=100)
    ref = await first.submit(REQUEST, key="job-1")
    later = ScriptedBackend(tmp_path, WORKING, cancels=True)
    later.time = 1e9

    end = (await collect(later.observe(ref)))[-1]

    assert end.type == "job.outcome_unknown"
    assert "within 100 s" in end.error.message
    assert sum(later.pauses) == 100
    assert later.stopped == []


async def test_work_whose_polls_failed_meanwhile_is_not_stopped_at_its_deadline(tmp_path):
    script = (WORKING, BackendUnavailableError("gone"), WORKING)
    backend = ScriptedBackend(tmp_path, *script, cancels=True, deadline_seconds=100)
    ref = await backend.submit(REQUEST, key="job-1")

    with pytest.raises(BackendUnavailableError):
        await collect(backend.observe(ref))
    end = (await collect(backend.observe(ref)))[-1]

    assert end.type == "job.outcome_unknown"
    assert backend.stopped == []


async def test_a_video_on_its_way_is_left_to_a_later_run_when_the_job_is_to_stop(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(watch, "_STOP_SECONDS", 0.01)
    fetching = asyncio.Event()

    class Slow(ScriptedBackend):
        async def status(self, ref):
            self.video_path(ref)
            fetching.set()
            await asyncio.Event().wait()

    backend = Slow(tmp_path, DONE)
    ref = await backend.submit(REQUEST, key="job-1")
    observing = asyncio.create_task(collect(backend.observe(ref)))
    await fetching.wait()

    await backend.cancel(ref)
    end = (await asyncio.wait_for(observing, 60))[-1]

    assert end.type == "job.outcome_unknown"
    assert end.error.code == "job_cancelled"


async def test_a_cancel_ends_the_waiting_though_no_poll_is_answered(tmp_path):
    backend = ScriptedBackend(tmp_path, BackendUnavailableError("gone"))
    ref = await backend.submit(REQUEST, key="job-1")

    await backend.cancel(ref)
    events = await collect(backend.observe(ref))

    assert kinds(events) == ["job.cancelled"]
    assert "it continues there" in events[0].cancellation.said


async def test_nothing_is_said_to_have_started_before_the_provider_answered(tmp_path):
    backend = ScriptedBackend(tmp_path, BackendUnavailableError("gone"))
    ref = await backend.submit(REQUEST, key="job-1")
    seen = []

    async def look():
        async for event in backend.observe(ref):
            seen.append(event)

    with pytest.raises(BackendUnavailableError):
        await look()
    assert seen == []


async def test_a_video_that_comes_too_late_is_of_unknown_outcome_and_is_stopped(tmp_path):
    backend = ScriptedBackend(tmp_path, WORKING, cancels=True, deadline_seconds=100)

    events = await run(backend)

    assert events[-1].type == "job.outcome_unknown"
    assert "within 100 s" in events[-1].error.message
    assert "billed" in events[-1].error.message
    assert backend.stopped == ["op-1"]
    assert 100 <= backend.time - 1000 < 100 + backend.longest_poll_seconds


async def test_the_deadline_of_a_request_goes_before_that_of_the_settings(tmp_path):
    backend = ScriptedBackend(tmp_path, WORKING, deadline_seconds=1000)

    events = await run(backend, options={"scripted": {"deadline_seconds": 50}})

    assert "within 50 s" in events[-1].error.message


async def test_a_video_that_is_there_after_the_deadline_is_taken(tmp_path):
    backend = ScriptedBackend(tmp_path, DONE)
    ref = await backend.submit(REQUEST, key="job-1")
    other = ScriptedBackend(tmp_path, DONE)
    other.time = 1e9

    assert kinds(await events_of(other, ref))[-1] == "job.completed"


async def test_the_same_key_and_request_are_sent_once_also_at_the_same_time(tmp_path):
    backend = ScriptedBackend(tmp_path, DONE)

    refs = await asyncio.gather(*(backend.submit(REQUEST, key="job-1") for _ in range(5)))

    assert len({ref.operation_id for ref in refs}) == 1
    assert backend.sent == ["job-1"]


async def test_nothing_is_kept_of_work_that_was_refused(tmp_path, monkeypatch):
    backend = ScriptedBackend(tmp_path, DONE)

    async def refuse(request, *, key):
        raise BackendUnavailableError("it is in trouble")

    monkeypatch.setattr(backend, "submit_once", refuse)
    for number in range(3):
        with pytest.raises(BackendUnavailableError):
            await backend.submit(REQUEST, key=f"job-{number}")

    assert len(backend._submitting) == 0


async def test_of_what_was_submitted_the_images_are_not_kept(tmp_path):
    backend = ScriptedBackend(tmp_path, DONE)
    image = MediaInput(role=InputRole.FIRST_FRAME, data=b"x" * 1000)
    request = VideoRequest(prompt="a cat", inputs=(image,))
    ref = await backend.submit(request, key="job-1")
    is_kept = weakref.ref(request)

    again = await backend.submit(request.model_copy(), key="job-1")
    del request
    gc.collect()

    assert again == ref
    assert is_kept() is None


async def test_a_key_of_another_request_is_refused(tmp_path):
    backend = ScriptedBackend(tmp_path, DONE)
    await backend.submit(REQUEST, key="job-1")

    with pytest.raises(IdempotencyConflictError, match="job-1"):
        await backend.submit(VideoRequest(prompt="a dog"), key="job-1")


async def test_what_this_process_submitted_is_found_again(tmp_path):
    backend = ScriptedBackend(tmp_path, DONE)
    ref = await backend.submit(REQUEST, key="job-1")
    since = datetime.now(UTC)

    assert await backend.find(REQUEST, key="job-1", since=since) == ref
    assert await backend.find(REQUEST, key="job-2", since=since) is None
    assert await backend.find(VideoRequest(prompt="a dog"), key="job-1", since=since) is None


@pytest.mark.parametrize("key", ["../elsewhere", "", ".hidden", "a/b", "a" * 201])
async def test_a_key_that_cannot_name_a_folder_is_refused_before_anything_is_sent(tmp_path, key):
    backend = ScriptedBackend(tmp_path, DONE)

    with pytest.raises(InvalidRequestError, match="folder"):
        await backend.submit(REQUEST, key=key)

    assert backend.sent == []


async def test_a_video_that_the_backend_fetches_itself_gets_a_folder_of_its_job(tmp_path):
    backend = ScriptedBackend(tmp_path, DONE)
    ref = await backend.submit(REQUEST, key="job-1")

    path = backend.video_path(ref)

    assert path == tmp_path / "work" / "job-1" / "video.mp4"
    assert path.parent.is_dir()


async def test_a_provider_that_cannot_stop_is_no_longer_waited_for_and_that_is_said(
    tmp_path,
):
    backend = ScriptedBackend(tmp_path, WORKING)
    ref = await backend.submit(REQUEST, key="job-1")

    await backend.cancel(ref)
    end = (await events_of(backend, ref))[-1]

    assert end.type == "job.cancelled"
    assert end.cancellation.stopped is False


async def test_a_cancel_wakes_whoever_waits(tmp_path):
    asleep, never = asyncio.Event(), asyncio.Event()

    async def rest(seconds):
        asleep.set()
        await never.wait()

    backend = ScriptedBackend(tmp_path, WORKING, sleep=rest)
    ref = await backend.submit(REQUEST, key="job-1")
    waiting = asyncio.ensure_future(collect(backend.observe(ref)))
    await asleep.wait()

    await backend.cancel(ref)

    async with asyncio.timeout(60):
        assert kinds(await waiting)[-1] == "job.cancelled"


async def collect(events):
    return [event async for event in events]


async def test_a_failure_after_a_cancel_is_its_effect(tmp_path):
    failed = JobFailed(error=ErrorInfo(code="generation_failed", message="was stopped"))
    backend = ScriptedBackend(tmp_path, failed, cancels=True)
    ref = await backend.submit(REQUEST, key="job-1")

    await backend.cancel(ref)
    end = (await collect(backend.observe(ref)))[-1]

    assert end.type == "job.cancelled"
    assert "was stopped" in end.cancellation.said


async def test_the_effect_of_a_cancel_may_be_seen_before_its_answer(tmp_path):
    failed = JobFailed(error=ErrorInfo(code="generation_failed", message="stopped by the user"))
    ends = []

    class Slow(ScriptedBackend):
        async def cancel_once(self, ref):
            ends.extend(await collect(self.observe(ref)))

    backend = Slow(tmp_path, failed)
    ref = await backend.submit(REQUEST, key="job-1")

    await backend.cancel(ref)

    assert kinds(ends) == ["job.cancelled"]


async def test_a_cancel_that_did_not_reach_the_provider_changes_nothing(tmp_path):
    failed = JobFailed(error=ErrorInfo(code="generation_failed", message="out of memory"))

    class Unreachable(ScriptedBackend):
        async def cancel_once(self, ref):
            raise BackendUnavailableError("it cannot be reached")

    backend = Unreachable(tmp_path, failed)
    ref = await backend.submit(REQUEST, key="job-1")

    with pytest.raises(BackendUnavailableError):
        await backend.cancel(ref)

    assert kinds(await collect(backend.observe(ref))) == ["job.failed"]


async def test_work_that_is_gone_after_a_cancel_was_cancelled_but_else_it_is_lost(tmp_path):
    gone = OperationNotFoundError("never heard of it")
    cancelled = ScriptedBackend(tmp_path, gone, cancels=True)
    lost = ScriptedBackend(tmp_path, gone)
    ref = await cancelled.submit(REQUEST, key="job-1")

    await cancelled.cancel(ref)

    assert kinds(await collect(cancelled.observe(ref))) == ["job.cancelled"]
    with pytest.raises(OperationNotFoundError):
        await collect(lost.observe(ref))


async def test_a_video_that_is_finished_despite_a_cancel_is_kept(tmp_path):
    backend = ScriptedBackend(tmp_path, WORKING, DONE, cancels=True)
    ref = await backend.submit(REQUEST, key="job-1")

    await backend.cancel(ref)

    assert kinds(await collect(backend.observe(ref)))[-1] == "job.completed"


async def test_a_cancel_that_is_never_confirmed_ends_after_a_while(tmp_path):
    backend = ScriptedBackend(tmp_path, WORKING, cancels=True)
    ref = await backend.submit(REQUEST, key="job-1")

    await backend.cancel(ref)
    end = (await collect(backend.observe(ref)))[-1]

    assert end.type == "job.cancelled"
    assert end.cancellation.stopped == "unknown"
    assert "not confirmed" in end.cancellation.said
    assert backend.time - 1000 >= backend.cancel_grace_seconds


async def test_a_token_a_command_and_work_after_the_end_are_refused(tmp_path):
    backend = ScriptedBackend(tmp_path, DONE)
    ref = await backend.submit(REQUEST, key="job-1")
    token = ResumeToken(backend="scripted", model="only", next_chunk=1)

    with pytest.raises(NotResumableError):
        await backend.submit(REQUEST, key="job-2", resume=token)
    with pytest.raises(UnsupportedRequestError, match="finish"):
        await backend.control(ref, Finish(), number=1)
    await backend.aclose()
    with pytest.raises(BackendUnavailableError, match="closed"):
        await backend.submit(REQUEST, key="job-3")
