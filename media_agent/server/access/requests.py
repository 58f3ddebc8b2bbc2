"""What a caller on another machine may put into a request: no name of a file of this one."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from media_agent.errors import ForbiddenError, InvalidRequestError
from media_agent.server.access.caller import Caller
from media_agent.server.access.input_room import InputRoom
from media_agent.server.access.public_network import check_public
from media_agent_schemas.media import MediaInput
from media_agent_schemas.request import VideoRequest

_MOST_PLACES = 32  # of inputs, and of addresses in options
_WRITTEN_AS_A_PATH = re.compile(
    r"^\s*(?:[/\\~]|[A-Za-z]:[/\\]|file:|\$|%\w+%) | (?:^|[/\\])\.\.?(?:[/\\]|$)",
    re.VERBOSE | re.IGNORECASE,
)
_ADDRESS = re.compile(r"\s*https?:", re.IGNORECASE)

Request = TypeVar("Request", bound=VideoRequest)
Options = Mapping[str, Mapping[str, JsonValue]]


def check_request(request: VideoRequest, caller: Caller) -> None:
    """Refuse files of this machine from a caller who may be on another one.

    Raises:
        ForbiddenError: an input or an option names one, or what only the server can know.
    """
    if not caller.is_remote:
        return
    for number, medium in enumerate(request.inputs):
        if medium.path is not None:
            raise _forbidden(f"inputs[{number}].path", "give its url, its data, or its file_id")
        if medium.own_id is not None:
            raise _forbidden(f"inputs[{number}].own_id", "leave it out")


async def check_names(model: str | None, options: Options, caller: Caller) -> None:
    """Refuse names of files and inner addresses, from a caller who may be anywhere.

    Raises:
        ForbiddenError: one names a file of this machine.
        InvalidRequestError: one names an address that is not public, or there are too many.
    """
    if not caller.is_remote:
        return
    if model is not None and _WRITTEN_AS_A_PATH.search(model):
        raise _forbidden("model", "GET /v1/backends lists the models")
    addresses = []
    for place, text in _walk(options, "options"):
        if _WRITTEN_AS_A_PATH.search(text):
            raise _forbidden(place, "give the name that the server knows it by")
        if _ADDRESS.match(text):
            addresses.append(text.strip())
    _check_count(addresses)
    for address in addresses:
        await check_public(address)


async def admit_request(
    request: Request, caller: Caller, folder: Path, *, max_bytes: int
) -> Request:
    """Check a request and bring what it names by addresses; a local caller's stays as it is.

    The service that makes the video is then sent the files: it may be in our own network, and would
    follow any address that it is given.

    Raises:
        ForbiddenError: as `check_request`.
        InvalidRequestError: what an address names cannot be had.
        TooLargeError: all of that together is too large.
    """
    check_request(request, caller)
    await check_names(request.model, request.options, caller)
    if not caller.is_remote:
        return request
    _check_count(request.inputs)
    room = InputRoom(max_bytes)
    inputs = [await _bring(medium, folder, room) for medium in request.inputs]
    return request.model_copy(update={"inputs": tuple(inputs)})


async def _bring(medium: MediaInput, folder: Path, room: InputRoom) -> MediaInput:
    if medium.url is None:
        return medium
    from media_agent.server.access.inputs import fetch_input

    path = await fetch_input(medium.url, folder, max_bytes=room.left)
    room.take((await asyncio.to_thread(path.stat)).st_size)
    return medium.model_copy(update={"url": None, "path": str(path), "mime_type": None})


def _check_count(places: Sized) -> None:
    if len(places) > _MOST_PLACES:
        raise InvalidRequestError(f"a request has at most {_MOST_PLACES} inputs")


def _walk(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text within options, names too, with its place."""
    match value:
        case str():
            yield place, value
        case Mapping():
            for name, each in value.items():
                yield place, str(name)
                yield from _walk(each, f"{place}.{name}")
        case list() | tuple():
            for number, each in enumerate(value):
                yield from _walk(each, f"{place}[{number}]")


def _forbidden(place: str, hint: str) -> ForbiddenError:
    return ForbiddenError(f"{place[:200]} names a file of the server's machine", hint=hint)
