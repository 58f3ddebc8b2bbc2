import threading
from itertools import count, islice

import pytest

from media_agent.backend.generating.prefetch import prefetch


def test_items_come_in_order_and_end():
    with prefetch(iter("abc")) as items:
        assert list(items) == ["a", "b", "c"]
        assert list(items) == []


@pytest.mark.parametrize("room", [1, 2, 5])
def test_a_slow_taker_stops_the_producer_where_there_is_no_room(room):
    in_hand, furthest = 0, 0
    begun = [threading.Event() for _ in range(21)]

    def numbers():
        nonlocal furthest
        for number in range(1, 21):
            furthest = max(furthest, number - in_hand)
            begun[number].set()
            yield number

    with prefetch(numbers(), room=room) as items:
        for in_hand in items:
            assert begun[min(in_hand + room, 20)].wait(5)  # it runs ahead, this far
            assert not any(event.is_set() for event in begun[in_hand + room + 1 :])

    assert in_hand == 20
    assert furthest <= room + 1  # one is on its way into the hand


def test_nothing_is_begun_after_leaving_and_the_thread_is_gone():
    made = []
    before = threading.active_count()

    def numbers():
        for number in count():
            made.append(number)
            yield number

    with prefetch(numbers(), room=2) as items:
        first = list(islice(items, 3))

    assert first == [0, 1, 2]
    assert len(made) <= 5
    assert threading.active_count() == before


def test_an_error_comes_after_the_items_before_it():
    def numbers():
        yield 1
        yield 2
        raise ZeroDivisionError("three")

    taken = []
    with pytest.raises(ZeroDivisionError, match="three"), prefetch(numbers()) as items:
        taken.extend(items)  # keeps what came before the error
    assert taken == [1, 2]


def test_a_generator_is_closed_in_its_own_thread_when_it_is_left():
    threads = []

    def numbers():
        try:
            threads.append(threading.current_thread())
            yield from count()
        finally:
            threads.append(threading.current_thread())

    with prefetch(numbers()) as items:
        next(items)

    assert len(threads) == 2
    assert threads[0] is threads[1] is not threading.current_thread()


def test_stages_can_follow_each_other_and_all_end_when_the_last_is_left():
    before = threading.active_count()

    with prefetch(count()) as numbers, prefetch(number * number for number in numbers) as squares:
        first = list(islice(squares, 4))

    assert first == [0, 1, 4, 9]
    assert threading.active_count() == before


def test_an_error_of_who_takes_the_items_is_raised_as_it_is():
    with pytest.raises(ValueError, match="cannot use 0"), prefetch(count()) as items:
        raise ValueError(f"cannot use {next(items)}")
