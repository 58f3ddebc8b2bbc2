"""The list of fal's platform API as documented, of work that a simulator has; pure.

https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint, read 2026-11-30.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import moment, whole

_MOST = 100  # requests in a page
_STATUSES = ("success", "error", "user_error")


@dataclass(frozen=True, slots=True)
class ListedJob:
    """One request as the list has it."""

    name: str
    endpoint: str
    sent_at: float  # seconds since 1970
    ended_at: float | None
    status: int  # of HTTP, once it has ended
    is_shown: bool
    input: dict[str, JsonValue] | None  # None: the account keeps no payloads
    output: JsonValue

    @property
    def word(self) -> str:
        """How it ended, as the list is filtered by it."""
        if self.status < 400:
            return "success"
        return "user_error" if self.status < 500 else "error"

    @property
    def seconds(self) -> float:
        """How long it took."""
        return 0.0 if self.ended_at is None else self.ended_at - self.sent_at

    def item(self, *, has_payloads: bool) -> dict[str, JsonValue]:
        """Return it as it stands in a page; what has not ended lacks what only the end tells."""
        began = _text_of(self.sent_at)
        said: dict[str, JsonValue] = {
            "request_id": self.name,
            "endpoint_id": self.endpoint,
            "started_at": began,
            "sent_at": began,
        }
        if self.ended_at is not None:
            said["ended_at"] = _text_of(self.ended_at)
            said["status_code"] = self.status
            said["duration"] = round(self.seconds, 3)
        if has_payloads and self.input is not None:
            said["json_input"] = self.input
            if self.ended_at is not None:
                said["json_output"] = self.output
        return said


def list_page(jobs: Sequence[ListedJob], query: Mapping[str, str]) -> JsonValue:
    """Return the page that a question asks for.

    Raises:
        ValueError: the question makes no sense.
    """
    limit = whole(query.get("limit", "50"))
    if limit is None or not 1 <= limit <= _MOST:
        raise ValueError(f"limit is 1 to {_MOST}")
    chosen = _choose(jobs, query)
    number = _page_number(query.get("cursor"))
    begin = (number - 1) * limit
    has_more = len(chosen) > begin + limit
    has_payloads = query.get("expand") == "payloads"
    items: list[JsonValue] = [
        job.item(has_payloads=has_payloads) for job in chosen[begin : begin + limit]
    ]
    cursor = base64.b64encode(str(number + 1).encode()).decode() if has_more else None
    return {"items": items, "next_cursor": cursor, "has_more": has_more}


def _choose(jobs: Sequence[ListedJob], query: Mapping[str, str]) -> list[ListedJob]:
    """Return what passes the filters of a question, in its order."""
    endpoints = query.get("endpoint_id", "").split(",")
    if not endpoints[0]:
        raise ValueError("endpoint_id is required")
    status = query.get("status")
    if status not in (None, *_STATUSES):
        raise ValueError(f"status is one of {', '.join(_STATUSES)}")
    now = datetime.now(UTC).timestamp()
    start, end = _moment(query, "start", now - 86_400), _moment(query, "end", now + 1)
    names = {query["request_id"]} if "request_id" in query else {job.name for job in jobs}
    chosen = [
        job
        for job in jobs
        if job.is_shown
        and job.endpoint in endpoints
        and job.name in names
        and start <= job.sent_at < end  # invented: the instant that is compared
        and (status is None or (job.ended_at is not None and job.word == status))
    ]
    match query.get("sort_by", "ended_at"):
        case "ended_at":  # newest first; invented: what has not ended comes before
            return sorted(chosen, key=lambda job: job.ended_at or now + 1, reverse=True)
        case "duration":
            return sorted(chosen, key=lambda job: job.seconds, reverse=True)
    raise ValueError("sort_by is ended_at or duration")


def _moment(query: Mapping[str, str], name: str, otherwise: float) -> float:
    said = query.get(name)
    found = otherwise if said is None else moment(said)
    if found is None:
        raise ValueError(f"{name} is a date such as 2026-01-01T00:00:00Z")
    return found


def _page_number(cursor: str | None) -> int:
    """Return the number of the page that a cursor encodes."""
    try:
        number = 1 if cursor is None else int(base64.b64decode(cursor, validate=True))
    except (ValueError, binascii.Error):
        raise ValueError("cursor is one that a page gave") from None
    if number < 1:
        raise ValueError("cursor is one that a page gave")
    return number


def _text_of(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
