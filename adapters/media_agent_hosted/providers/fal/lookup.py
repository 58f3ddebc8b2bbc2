"""Which request in fal's list is the one whose reply was lost.

It repeats what was sent, unless the account keeps no payloads. The seed, which is drawn for each
video, tells it from another one of the same prompt. The list surely shows what has ended: that ours
is not in it says nothing. https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint, read
2026-11-30.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from media_agent.errors import BackendResponseError
from media_agent.ingest.inline import is_inline
from media_agent_hosted.base.identity import fits_a_path
from media_agent_hosted.base.listed import (
    choose,
    is_after,
    is_before,
    is_same_text,
    since_by_its_clock,
)
from media_agent_hosted.http.body import LARGEST_REPLY
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.parsing.lenient import moment, text
from media_agent_hosted.providers.fal.platform import error_of_list

PATH = "/models/requests/by-endpoint"
_PAGE = 100  # requests in a page, the most that it gives
_PAGES = 50  # looked through at most
_AHEAD = timedelta(hours=1)  # that the clock of this machine may be at most
_UNPROVED = (
    "proves nothing: it is too long, does not repeat the whole input with a seed, or not that it "
    "was sent after yours was"
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like what was sent a listed request is; its input may be megabytes, and is not kept."""

    may_be: bool
    repeats: bool
    sent_at: float | None


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list has, and from when on it can be what is looked for."""

    requests: Mapping[str, Likeness]  # by their names
    since: float | None
    """By fal's clock; None: it does not say its time."""
    unreadable: int
    is_whole: bool
    """Whether it was looked through to its end."""


async def find_request(
    api: HttpApi,
    sent: Fields,
    endpoint: str,
    *,
    since: datetime,
    ago: Callable[[], float],
    taken: Collection[str],
) -> str | None:
    """Return the name of the request that repeats what was sent, None if nothing is like it.

    It was sent so many seconds `ago`; `taken` are names of requests that are something else.

    Raises:
        BackendResponseError: nobody can be sure: several fit, or one that repeats no input or no
            seed, or not all could be read.
    """
    listed = await _newest(api, sent, endpoint, since, ago)
    candidates = [
        name
        for name, request in listed.requests.items()
        if name not in taken and request.may_be and not is_before(request.sent_at, listed.since)
    ]
    ours = [
        name
        for name in candidates
        if listed.requests[name].repeats
        and is_after(listed.requests[name].sent_at, listed.since)
        and listed.is_whole
    ]
    found = choose(api.host, ours, candidates, _UNPROVED)
    if found is None and not listed.is_whole:
        raise BackendResponseError(
            f"the list of {api.host} is longer than the {len(listed.requests)} requests that were "
            "looked through: it may be there"
        )
    if found is None and listed.unreadable:
        raise BackendResponseError(
            f"{listed.unreadable} requests in the list of {api.host} cannot be read: it may be "
            "there"
        )
    return found


def repeats(request: Fields, sent: Fields) -> bool:
    """Whether a listed request has all that was sent, and a seed among it."""
    said = request.get("json_input")
    return (
        "seed" in sent
        and isinstance(said, dict)
        and all(name in said and _is_same(said[name], value) for name, value in sent.items())
    )


async def _newest(
    api: HttpApi, sent: Fields, endpoint: str, since: datetime, ago: Callable[[], float]
) -> Listed:
    """Return the requests since then, as far as they are listed."""
    params = {
        "endpoint_id": endpoint,
        "start": (since.astimezone(UTC) - _AHEAD).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "limit": str(_fitting_page(sent)),
        "expand": "payloads",
    }
    found: dict[str, Likeness] = {}
    begin, unreadable = None, 0
    for number in range(_PAGES):
        reply = await api.send("GET", PATH, params=params, translate=error_of_list)
        if number == 0:
            begin = since_by_its_clock(reply, ago())
        body = reply.object()
        items = body.get("items")
        if not isinstance(items, list):
            raise reply.senseless("no list of requests")
        for item in items:
            name = text(item.get("request_id")) if isinstance(item, dict) else None
            if name is None or not fits_a_path(name):
                unreadable += 1
            elif isinstance(item, dict):  # pages move while work ends: one may come twice
                found[name] = _compare(item, sent, endpoint)
        cursor, has_more = text(body.get("next_cursor")), body.get("has_more")
        if has_more is False or (has_more is None and cursor is None):
            return Listed(found, begin, unreadable, is_whole=True)
        if cursor is None or cursor == params.get("cursor"):
            break
        params["cursor"] = cursor
    return Listed(found, begin, unreadable, is_whole=False)


def _fitting_page(sent: Fields) -> int:
    """Return how many requests such as this one, with its images inside, fit into one answer."""
    return max(1, min(_PAGE, LARGEST_REPLY // 2 // len(json.dumps(sent))))


def _compare(request: Fields, sent: Fields, endpoint: str) -> Likeness:
    return Likeness(
        may_be=_may_be(request, sent, endpoint),
        repeats=repeats(request, sent),
        sent_at=moment(request.get("sent_at")),
    )


def _may_be(request: Fields, sent: Fields, endpoint: str) -> bool:
    """Whether nothing that is listed of a request speaks against it."""
    if text(request.get("endpoint_id")) not in (None, endpoint):
        return False
    said = request.get("json_input")
    return not isinstance(said, dict) or not _contradicts(said, sent)


def _contradicts(said: JsonValue, sent: JsonValue) -> bool:
    """Whether what is repeated is something else; an image sent inside may get an address."""
    match said, sent:
        case None, _:
            return False
        case dict(), dict():
            return any(name in said and _contradicts(said[name], sent[name]) for name in sent)
        case list(), list():
            pairs = zip(said, sent, strict=False)
            return len(said) != len(sent) or any(_contradicts(*pair) for pair in pairs)
        case str(), str() if is_inline(sent) and not is_inline(said):
            return False
        case _:
            return not _is_same(said, sent)


def _is_same(said: JsonValue, sent: JsonValue) -> bool:
    if isinstance(said, str) and isinstance(sent, str):
        return is_same_text(said, sent)
    return said == sent
