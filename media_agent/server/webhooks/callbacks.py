"""What a provider sends about work that it has news of: checked, then only a hint to poll now.

A callback never moves a job: what the provider answers to the poll does.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import StrEnum

from pydantic import JsonValue

LARGEST_BODY = 2**20
"""Bytes; a provider repeats the request in it, sometimes with small images."""

_ID_FIELDS = ("id", "request_id", "gateway_request_id", "task_id", "generation_id", "job_id")
_INNER = ("data", "task", "output", "prediction")  # objects that may hold the id
_LONGEST_ID = 300  # characters
_REMEMBERED = 1000  # callbacks that were taken
_MESSAGE_IDS = ("webhook-id", "x-fal-webhook-request-id")

Check = Callable[[Mapping[str, str], bytes, float], Awaitable[bool | None]]
"""Returns whether headers and body are signed, now; None: it cannot be told."""
LookNow = Callable[[str, str], Awaitable[None]]
"""Asks a backend now about one piece of work."""


class Verdict(StrEnum):
    """What became of a callback."""

    TAKEN = "taken"
    """Also one about work that nobody knows: nobody learns what is at work here."""
    FORGED = "forged"
    UNKNOWN_BACKEND = "unknown_backend"


class Callbacks:
    """Takes the callbacks of the providers behind some backends."""

    def __init__(
        self,
        read_checks: Callable[[], Mapping[str, Check | None]],
        look_now: LookNow,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`read_checks` names each backend with what checks its signatures; None: nothing can.

        It is called for the first callback, in a thread.
        """
        self._read_checks = read_checks
        self._checks: Mapping[str, Check | None] | None = None
        self._look_now = look_now
        self._clock = clock
        self._taken: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def take(self, backend: str, headers: Mapping[str, str], body: bytes) -> Verdict:
        """Check a callback, and ask now about the work that it names; a repeated one does no more.

        The names of headers are in lower case, or `headers` does not mind.
        """
        if self._checks is None:
            self._checks = await asyncio.to_thread(self._read_checks)
        if backend not in self._checks:
            return Verdict.UNKNOWN_BACKEND
        check = self._checks[backend]
        is_signed = None if check is None else await check(headers, body, self._clock())
        if is_signed is False:
            return Verdict.FORGED
        if is_signed and self._is_repeated(backend, headers):
            return Verdict.TAKEN
        for operation_id in operation_ids(body):
            await self._look_now(backend, operation_id)
        return Verdict.TAKEN

    def _is_repeated(self, backend: str, headers: Mapping[str, str]) -> bool:
        """Return whether a message with the same id was taken, and remember it."""
        message_id = next((headers[name] for name in _MESSAGE_IDS if name in headers), "")
        name = (backend, message_id)
        if name in self._taken:
            return True
        self._taken[name] = None
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)
        return False


def operation_ids(body: bytes) -> tuple[str, ...]:
    """Return what may name work in the body of a callback, wherever a provider writes it."""
    try:
        said: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    return tuple(dict.fromkeys(_find_ids(said)))


def _find_ids(said: JsonValue) -> Iterator[str]:
    if not isinstance(said, dict):
        return
    for each in (said, *(said.get(name) for name in _INNER)):
        values = (each.get(name) for name in _ID_FIELDS) if isinstance(each, dict) else ()
        for value in values:
            if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID:
                yield value
