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


async def test_what_fails_is_told_to_all_and_tried_again() -> None:
    shared, fails = SharedWork[int](), [ValueError("broken")]

    def work() -> int:
        if fails:
            raise fails.pop()
        return 1

    calls = await asyncio.gather(*(shared.do("a", work) for _ in range(2)), return_exceptions=True)

    assert [str(each) for each in calls] == ["broken"] * 2
    assert await shared.do("a", work) == 1
