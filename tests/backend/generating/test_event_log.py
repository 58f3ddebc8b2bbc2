import asyncio
import threading
from contextlib import aclosing

import pytest

from media_agent.backend.generating.event_log import EventLog
from media_agent_schemas import ChunkReady, JobCompleted, JobProgressed, JobStarted

pytestmark = pytest.mark.anyio


def chunk(index):
    return ChunkReady(index=index, frames=1)


async def everything(log):
    async with aclosing(log.follow()) as events:
        return [event async for event in events]


async def test_an_observer_gets_what_was_and_what_comes():
    log = EventLog()
    log.publish(JobStarted())
    following = asyncio.create_task(everything(log))
    await asyncio.sleep(0)

    await asyncio.to_thread(log.publish, chunk(0))
    await asyncio.to_thread(log.publish, JobCompleted())

    assert await following == [JobStarted(), chunk(0), JobCompleted()]


async def test_progress_replaces_progress_and_nothing_else():
    log = EventLog()
    for fraction in (0.1, 0.2):
        log.publish(JobProgressed(phase="denoise", fraction=fraction))
    log.publish(chunk(0))
    log.publish(JobProgressed(phase="denoise", fraction=0.3))
    log.publish(JobCompleted())

    events = await everything(log)

    assert [getattr(event, "fraction", None) for event in events] == [0.2, None, 0.3, None]


async def test_memory_is_bounded_and_the_newest_events_stay():
    log = EventLog(capacity=3)
    for index in range(10):
        log.publish(chunk(index))
    log.publish(JobCompleted())

    assert await everything(log) == [chunk(8), chunk(9), JobCompleted()]


async def test_a_publisher_waits_for_a_slow_observer_and_nothing_is_lost():
    log = EventLog(capacity=3)
    published = []

    def publish_all():
        for index in range(20):
            log.publish(chunk(index))
            published.append(index)
        log.publish(JobCompleted())

    seen = []
    async with aclosing(log.follow()) as events:
        log.publish(JobStarted())
        await anext(events)
        worker = threading.Thread(target=publish_all)
        worker.start()
        async for event in events:
            assert len(published) - len(seen) <= 4
            seen.append(event)
    worker.join()

    assert [event.index for event in seen[:-1]] == list(range(20))


async def test_a_publisher_does_not_wait_for_an_observer_that_left():
    log = EventLog(capacity=2)
    log.publish(JobStarted())
    async with aclosing(log.follow()) as events:
        await anext(events)

    for index in range(10):
        log.publish(chunk(index))

    log.publish(JobCompleted())
    assert log.terminal == JobCompleted()


def test_a_publisher_does_not_wait_for_an_observer_whose_loop_ended():
    log = EventLog(capacity=2)
    log.publish(JobStarted())
    abandoned = log.follow()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(abandoned))
    loop.close()

    for index in range(5):
        log.publish(chunk(index))

    log.publish(JobCompleted())
    assert log.terminal == JobCompleted()


async def test_a_publisher_told_not_to_wait_continues():
    log = EventLog(capacity=2)
    log.publish(JobStarted())
    async with aclosing(log.follow()) as events:
        await anext(events)
        worker = threading.Thread(target=lambda: [log.publish(chunk(i)) for i in range(10)])
        worker.start()
        log.stop_waiting()
        await asyncio.to_thread(worker.join, 5)

        assert not worker.is_alive()


async def test_the_message_of_a_phase_is_kept_when_the_next_phase_begins():
    log = EventLog()
    log.publish(JobProgressed(phase="loading", message="needs 12 GB"))
    log.publish(JobProgressed(phase="denoising", message="step 1 of 2"))
    log.publish(JobProgressed(phase="denoising", message="step 2 of 2"))
    log.publish(JobProgressed(phase="decoding"))
    log.publish(JobCompleted())

    events = [event async for event in log.follow()]

    assert [getattr(event, "message", None) for event in events[:-1]] == [
        "needs 12 GB",
        "step 2 of 2",
        None,
    ]
