"""Carries events from a worker thread to any number of asyncio observers, in bounded memory."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from media_agent_schemas.events import BackendEvent, JobProgressed, TerminalEvent

_LOOK_AGAIN_SECONDS = 1.0  # for observers whose event loop ended without a word


@dataclass(eq=False, slots=True)
class _Observer:
    """Where one reader stands: it is done with all events before the next one."""

    next_number: int = 0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class EventLog:
    """Keeps the newest events for replay; a publisher waits for an observer that lags too far.

    Progress replaces progress, so that chunks are not crowded out; but not the last message of a
    phase, which may be what a person has to know. An observer who comes after more
    than `capacity` events gets the newest of them: each chunk.ready stands for those before it.
    """

    def __init__(self, capacity: int = 1000) -> None:
        self._capacity = capacity
        self._events: deque[tuple[int, BackendEvent]] = deque(maxlen=capacity)
        self._published = 0
        self._observers: list[_Observer] = []
        self._changed = threading.Condition()
        self._waits = True

    @property
    def terminal(self) -> TerminalEvent | None:
        """The last event of all, once there is one."""
        with self._changed:
            newest = self._events[-1][1] if self._events else None
        return newest if isinstance(newest, TerminalEvent) else None

    @property
    def done_with(self) -> int:
        """How many events, from the first on, every observer has dealt with and come back."""
        with self._changed:
            return self._find_slowest()

    def publish(self, event: BackendEvent) -> int:
        """Add an event, from any thread, and return its number, counted from 0.

        Waits while an observer is `capacity` events behind.
        """
        with self._changed:
            while not self._changed.wait_for(self._has_room, timeout=_LOOK_AGAIN_SECONDS):
                self._observers = [each for each in self._observers if not each.loop.is_closed()]
            if isinstance(event, JobProgressed) and self._is_replaced_by(event):
                self._events.pop()
            number = self._published
            self._events.append((number, event))
            self._published += 1
            for observer in list(self._observers):
                self._wake(observer)
        return number

    def stop_waiting(self) -> None:
        """From now on, never make the publisher wait for observers."""
        with self._changed:
            self._waits = False
            self._changed.notify_all()

    async def follow(self) -> AsyncGenerator[BackendEvent, None]:
        """Yield the events kept, then new ones as they come, until the terminal one."""
        observer = _Observer()
        with self._changed:
            self._observers.append(observer)
        try:
            while True:
                for number, event in self._read_unseen(observer):
                    yield event
                    if isinstance(event, TerminalEvent):
                        return
                    self._advance(observer, number + 1)
                await observer.news.wait()
        finally:
            self._leave(observer)

    def _has_room(self) -> bool:
        return not self._waits or self._published - self._find_slowest() < self._capacity

    def _find_slowest(self) -> int:
        return min((each.next_number for each in self._observers), default=self._published)

    def _is_replaced_by(self, event: JobProgressed) -> bool:
        newest = self._events[-1][1] if self._events else None
        if not isinstance(newest, JobProgressed):
            return False
        return newest.message is None or newest.phase == event.phase

    def _wake(self, observer: _Observer) -> None:
        try:
            observer.loop.call_soon_threadsafe(observer.news.set)
        except RuntimeError:  # its loop is closed, so it reads no more
            self._observers.remove(observer)

    def _read_unseen(self, observer: _Observer) -> list[tuple[int, BackendEvent]]:
        observer.news.clear()
        with self._changed:
            return [entry for entry in self._events if entry[0] >= observer.next_number]

    def _advance(self, observer: _Observer, next_number: int) -> None:
        with self._changed:
            observer.next_number = next_number
            self._changed.notify_all()

    def _leave(self, observer: _Observer) -> None:
        with self._changed:
            if observer in self._observers:
                self._observers.remove(observer)
            self._changed.notify_all()
