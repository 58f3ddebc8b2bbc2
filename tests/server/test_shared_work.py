"""Work is done once for all that want it at the same time, and again for who wants it later."""

import asyncio
from threading import Event

import pytest

from media_agent.server.shared_work import SharedWork

pytestmark = pytest.mark.anyio


class Work:
    """Work that waits until it may end, and counts."""

    def __init__(self) -> None:
        self.done = 0
        self.may_end = Event()

    def __call__(self) -> int:
        assert self.may_end.wait(10)
        self.done += 1
        return self.done


async def test_all_who_ask_at_once_get_what_was_done_once() -> None:
    shared, work = SharedWork[int](), Work()

    calls = [asyncio.create_task(shared.do("a", work)) for _ in range(9)]
    await asyncio.sleep(0)
    work.may_end.set()

    assert await asyncio.gather(*calls) == [1] * 9
    assert await shared.do("a", work) == 2


async def test_who_hangs_up_ends_it_for_nobody() -> None:
    shared, work = SharedWork[int](), Work()
    first, second = (asyncio.create_task(shared.do("a", work)) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    work.may_end.set()

    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_other_threads_stay_free_however_much_is_wanted() -> None:
    shared, work = SharedWork[int](), Work()
    calls = [asyncio.create_task(shared.do(name, work)) for name in range(40)]
    await asyncio.sleep(0.01)  # all of it is asked for

    async with asyncio.timeout(5):  # the work waits for longer
        free = await asyncio.to_thread(lambda: "free")
    work.may_end.set()

    assert free == "free"
    assert sorted(await asyncio.gather(*calls)) == [*range(1, 41)]


async def test_what_waits_for_its_turn_at_the_end_is_not_begun() -> None:
    shared, works = SharedWork[int](), [Work() for _ in range(3)]
    calls = [asyncio.create_task(shared.do(number, work)) for number, work in enumerate(works)]
    await asyncio.sleep(0)

    shared.close()
    for work in works:
        work.may_end.set()
    ended = await asyncio.gather(*calls, return_exceptions=True)

    assert ended[:2] == [1, 1]
    assert isinstance(ended[2], asyncio.CancelledError)
    assert works[2].done == 0


async def test_what_fails_is_told_to_all_and_tried_again() -> None:
    shared, fails = SharedWork[int](), [ValueError("broken")]

    def work() -> int:
        if fails:
            raise fails.pop()
        return 1

    calls = await asyncio.gather(*(shared.do("a", work) for _ in range(2)), return_exceptions=True)

    assert [str(each) for each in calls] == ["broken"] * 2
    assert await shared.do("a", work) == 1
