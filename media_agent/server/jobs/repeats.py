"""Calls that make a job, each made once, however often it comes.

A call with an idempotency key is the job of that key. Clients of OpenAI send none, but they number
their attempts: a later attempt joins the job of the same caller with the same fields, also while
the first one is still being planned. Two first attempts are two jobs.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from media_agent.errors import IdempotencyConflictError, InvalidRequestError
from media_agent.ledger.ledger import Ledger
from media_agent.server.host import ClientHost
from media_agent_schemas.jobs import VideoJob

LONGEST_KEY = 255
"""Characters of an idempotency key."""
_PATIENCE = 600.0  # seconds of one attempt, where the client does not say it
_PAUSE = 60.0  # seconds between two attempts, at most
_LONGEST_LOOK_BACK = timedelta(days=1)

Make = Callable[[], Awaitable[VideoJob]]


@dataclass(frozen=True, slots=True)
class NewJobCall:
    """One attempt to have a job made: whose it is, which fields it has, and whether it repeats."""

    fingerprint: str
    """Of the caller and the parsed fields."""
    key: str | None = None
    """Of the caller and the idempotency key; None: none was sent."""
    look_back: timedelta | None = None
    """How long ago the first attempt may have been; None: this is the first."""


def read_call(
    caller: str, route: str, fields: Mapping[str, Any], headers: Mapping[str, str]
) -> NewJobCall:
    """Return the call that some fields are for a caller; files stand in them by their digests.

    A key is the caller's, whatever the route: one that was used on another is a conflict.

    Raises:
        InvalidRequestError: the idempotency key is empty or too long.
    """
    key = headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise InvalidRequestError(f"Idempotency-Key has {len(key)} characters, not 1 to 255")
    return NewJobCall(
        fingerprint=_digest(caller, route, fields),
        key=None if key is None else f"http-{_digest(caller, key)}",
        look_back=_read_look_back(headers),
    )


@dataclass
class Repeats:
    """The calls of one server that are being planned; the ledger has those before."""

    _keyed: dict[str, tuple[NewJobCall, asyncio.Task[VideoJob]]] = field(default_factory=dict)
    _latest: dict[str, asyncio.Task[VideoJob]] = field(default_factory=dict)

    async def once(self, host: ClientHost, call: NewJobCall, make: Make) -> tuple[VideoJob, bool]:
        """Return the job that a call means, and whether this made it.

        Raises:
            IdempotencyConflictError: the key belongs to another call.
            MediaAgentError: as `make` does.
        """
        joined = self._find_under_way(call)
        if joined is not None:
            return await asyncio.shield(joined), False
        made: list[VideoJob] = []
        task = asyncio.create_task(_find_or_make(host, call, make, made))
        self._remember(call, task)
        job = await asyncio.shield(task)
        return job, bool(made)

    def _find_under_way(self, call: NewJobCall) -> asyncio.Task[VideoJob] | None:
        if call.key is not None and call.key in self._keyed:
            known, task = self._keyed[call.key]
            if known.fingerprint != call.fingerprint:
                raise _conflict()
            return task
        if call.key is None and call.look_back is not None:
            return self._latest.get(call.fingerprint)
        return None

    def _remember(self, call: NewJobCall, task: asyncio.Task[VideoJob]) -> None:
        if call.key is not None:
            self._keyed[call.key] = (call, task)
        else:
            self._latest[call.fingerprint] = task
        task.add_done_callback(partial(self._forget, call))

    def _forget(self, call: NewJobCall, task: asyncio.Task[VideoJob]) -> None:
        if not task.cancelled():
            task.exception()  # whoever asked has hung up: nobody else looks at it
        if call.key is not None:
            self._keyed.pop(call.key, None)
        elif self._latest.get(call.fingerprint) is task:
            del self._latest[call.fingerprint]


async def _find_or_make(
    host: ClientHost, call: NewJobCall, make: Make, made: list[VideoJob]
) -> VideoJob:
    known = await _find(host, call)
    if known is not None:
        return await host.call(lambda client: client.adopt(known))
    job = await make()
    made.append(job)
    return job


async def _find(host: ClientHost, call: NewJobCall) -> str | None:
    if call.key is not None:
        return await host.read(partial(_find_keyed, call, call.key))
    if call.look_back is None:
        return None
    since = datetime.now(UTC) - call.look_back
    return await host.read(lambda ledger: ledger.jobs.find_repeated(call.fingerprint, since))


def _find_keyed(call: NewJobCall, key: str, ledger: Ledger) -> str | None:
    job = ledger.jobs.of_key(key)
    if job is not None and ledger.jobs.terms(job.id).fingerprint != call.fingerprint:
        raise _conflict()
    return None if job is None else job.id


def _read_look_back(headers: Mapping[str, str]) -> timedelta | None:
    """Return how long ago the first of numbered attempts was, at most."""
    count = headers.get("x-stainless-retry-count", "")
    if not count.isascii() or not count.isdecimal() or int(count[:9]) < 1:
        return None
    try:
        patience = float(headers.get("x-stainless-read-timeout", _PATIENCE))
    except ValueError:
        patience = _PATIENCE
    if not 0 < patience < _LONGEST_LOOK_BACK.total_seconds():
        patience = _LONGEST_LOOK_BACK.total_seconds()
    seconds = int(count[:4]) * (patience + _PAUSE)
    return min(_LONGEST_LOOK_BACK, timedelta(seconds=seconds))


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _conflict() -> IdempotencyConflictError:
    return IdempotencyConflictError(
        "this Idempotency-Key was used for another request",
        hint="send the same fields again, or use a new key for a new video",
    )
