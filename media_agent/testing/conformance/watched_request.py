"""A request that remembers which of its fields were read."""

from typing import Any

from media_agent_schemas.request import VideoRequest


def watch_request(
    request: VideoRequest, *, dump_reads_all: bool = False
) -> tuple[VideoRequest, set[str]]:
    """Return an equal request, and the set into which it writes the fields that are read.

    Reading is as far as anybody can see from outside: whether the value then reached the model,
    nobody but the backend knows. A copy made by `model_copy` is watched too. Turning the request
    into JSON reads nothing, because it may be for a log, unless `dump_reads_all`.
    """
    read: set[str] = set()
    names = frozenset(VideoRequest.model_fields)

    class WatchedRequest(VideoRequest):
        def __getattribute__(self, name: str) -> Any:
            if name in names:
                read.add(name)
            elif dump_reads_all and name in ("model_dump", "model_dump_json"):
                read.update(names)
            return super().__getattribute__(name)

    twin = WatchedRequest.model_validate(dict(request))
    read.clear()
    return twin, read


def list_given_fields(request: VideoRequest) -> set[str]:
    """Return the fields that say something: those that differ from their default."""
    return {
        name
        for name, field in VideoRequest.model_fields.items()
        if getattr(request, name) != field.default
    }
