"""The events of a job, as they come."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import StreamingResponse

from media_agent.server.access.caller import Caller
from media_agent.server.context import CallerHere, Server
from media_agent.server.jobs.own_job import OwnJob
from media_agent.server.live.events import EventHub
from media_agent.server.operation.openapi import new_router

router = new_router("events")
_PAUSE = 15.0  # seconds between two signs of life, shorter than proxies wait
_ALIVE = b": alive\n\n"
_LARGEST = 2**53  # a number that every client can say

_SCHEMA = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "The number of the event."},
        "event": {"type": "string", "description": "Its type, such as chunk.ready."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/JobEvent"},
        },
    },
}

Number = Annotated[int, Query(ge=-1, le=_LARGEST, description="Only events above this number.")]
Last = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The last event that was received; clients send it when they come back.",
    ),
]


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"itemSchema": _SCHEMA}}}},
)
async def follow_events(
    job: OwnJob,
    server: Server,
    caller: CallerHere,
    after: Number = -1,
    last_event_id: Last = None,
) -> StreamingResponse:
    """Send the events of a job, those of before too, until it is over.

    Each has its number as `id`, its type as `event`, and a JobEvent as `data`. A client that was
    cut off names the last it has in Last-Event-ID, and misses none.
    """
    if last_event_id is not None and last_event_id.isdecimal():
        after = max(after, min(int(last_event_id), _LARGEST))
    return StreamingResponse(
        _send(server.events, job.id, after, caller),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _send(hub: EventHub, job_id: str, after: int, caller: Caller) -> AsyncIterator[bytes]:
    async with aclosing(hub.listen(job_id, after, pause=_PAUSE)) as news:
        async for events in news:
            yield b"".join(each.for_caller(caller) for each in events) or _ALIVE
