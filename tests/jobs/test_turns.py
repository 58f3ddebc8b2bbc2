"""Turns: a few jobs begin at a time, and nobody holds a turn for long."""

import asyncio

import pytest

from media_agent.jobs import turns
from media_agent.jobs.turns import BEGINNING, Turns

pytestmark = pytest.mark.anyio


async def test_no_more_than_a_few_begin_at_once() -> None:
    found, begun, may_end = Turns(), 0, asyncio.Event()

    async def begin() -> None:
        nonlocal begun
        async with found.turn():
            begun += 1
            await may_end.wait()

    tasks = [asyncio.create_task(begin()) for _ in range(BEGINNING + 3)]
    await asyncio.sleep(0)
    at_once = begun
    may_end.set()
    await asyncio.gather(*tasks)

    assert at_once == BEGINNING
    assert begun == BEGINNING + 3


async def test_whoever_has_begun_ends_its_turn_and_works_on() -> None:
    found = Turns()

    async with asyncio.timeout(60):
        holders = [found.turn() for _ in range(3 * BEGINNING)]
        for holder in holders:
            (await holder.__aenter__())()
        for holder in holders:
            await holder.__aexit__(None, None, None)
        others = [found.turn() for _ in range(BEGINNING)]
        for holder in others:
            await holder.__aenter__()

    waiting = asyncio.create_task(found.turn().__aenter__())
    await asyncio.sleep(0)
    assert not waiting.done()  # a turn that ended twice was given back once
    waiting.cancel()
    for holder in others:
        await holder.__aexit__(None, None, None)


async def test_a_turn_that_takes_long_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_SECONDS", 0.0)
    found = Turns()
    holders = [found.turn() for _ in range(BEGINNING)]
    for holder in holders:
        await holder.__aenter__()

    async with asyncio.timeout(60), found.turn():
        pass

    for holder in holders:
        await holder.__aexit__(None, None, None)


async def test_nobody_begins_while_others_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 60.0)
    found, begun = Turns(), asyncio.Event()

    async def begin() -> None:
        async with found.turn():
            begun.set()

    with found.asking():
        with found.asking():
            waiting = asyncio.create_task(begin())
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        had_begun = begun.is_set()
    async with asyncio.timeout(60):
        await waiting

    assert not had_begun
    assert begun.is_set()


async def test_nobody_gives_way_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.0)
    found = Turns()

    async with asyncio.timeout(60):
        with found.asking():
            async with found.turn():
                pass


async def test_whoever_gives_up_the_wait_gives_its_turn_back() -> None:
    found = Turns()

    with found.asking():
        waiting = [asyncio.create_task(found.turn().__aenter__()) for _ in range(BEGINNING)]
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(60):
        others = [found.turn() for _ in range(BEGINNING)]
        for holder in others:
            await holder.__aenter__()

    for holder in others:
        await holder.__aexit__(None, None, None)
