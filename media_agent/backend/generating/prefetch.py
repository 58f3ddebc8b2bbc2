"""A stage of work in its own thread, which runs ahead of its consumer."""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import TypeVar

Item = TypeVar("Item")

ROOM = 2
"""Items being made or waiting to be taken: one of each, so that neither side waits for long."""


@contextmanager
def prefetch(items: Iterator[Item], *, room: int = ROOM) -> Iterator[Iterator[Item]]:
    """Make items in a thread, in order; no item is begun while `room` of them are not yet taken.

    What `items` raises comes where its next item would have come. Leaving the context lets the item
    in work be finished, closes `items` if it is a generator, and waits for the thread to end.
    """
    free = threading.Semaphore(room)
    made: queue.SimpleQueue[tuple[Item, ...] | BaseException] = queue.SimpleQueue()
    is_left = threading.Event()

    def make() -> None:
        end: tuple[()] | BaseException = ()
        try:
            with closing(items) if isinstance(items, Generator) else nullcontext():
                while free.acquire() and not is_left.is_set():
                    made.put((next(items),))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001  # raised where the items are taken
            end = error
        made.put(end)
        del end  # an error whose frames name it would hold itself, and all that they worked with

    def take() -> Iterator[Item]:
        for got in iter(made.get, ()):
            if isinstance(got, BaseException):
                try:
                    raise got
                finally:
                    del got  # for the same reason
            free.release()
            yield got[0]

    thread = threading.Thread(target=make, name=f"{threading.current_thread().name}-ahead")
    thread.start()
    try:
        yield take()
    finally:
        is_left.set()
        free.release()
        thread.join()
