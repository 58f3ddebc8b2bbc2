"""Requests that may name files which were sent to /v1/files before, as on OpenAI's wire."""

import asyncio
import shutil
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from media_agent.server.access.caller import Caller
from media_agent.server.access.input_room import InputRoom
from media_agent.server.context import ServerContext
from media_agent.server.openai.inputs.file_store import find_file
from media_agent.storage.files import storage_errors
from media_agent_schemas.media import MediaInput
from media_agent_schemas.request import VideoRequest


class ServedInput(MediaInput):
    """One image or video of a request, from exactly one source."""

    sources: ClassVar[tuple[str, ...]] = (*MediaInput.sources, "file_id")

    file_id: str | None = Field(
        default=None, max_length=100, description="A file that was sent to /v1/files."
    )


class ServedRequest(VideoRequest):
    """A requested video, whose inputs may be files that were sent before."""

    inputs: tuple[ServedInput, ...] = Field(
        default=(), description="Images and videos to start from."
    )


async def bring_files(
    server: ServerContext, caller: Caller, request: ServedRequest, folder: Path | None
) -> VideoRequest:
    """Return a request with the files in place of their ids, copied into a folder where one is due.

    Raises:
        JobNotFoundError: the caller has no such file.
        StorageError: it cannot be copied.
        TooLargeError: all files together are too large.
    """
    room = InputRoom(server.settings.server.max_upload_bytes)
    inputs = [
        await _bring(
            server, caller, medium, None if folder is None else folder / f"sent-{number}", room
        )
        for number, medium in enumerate(request.inputs)
    ]
    given = {name: getattr(request, name) for name in request.model_fields_set - {"inputs"}}
    return VideoRequest(**given, inputs=tuple(inputs))


async def _bring(
    server: ServerContext,
    caller: Caller,
    medium: ServedInput,
    target: Path | None,
    room: InputRoom,
) -> MediaInput:
    given = medium.model_dump(exclude_unset=True, exclude={"file_id"})
    if medium.file_id is None:
        return MediaInput(**given)
    found = await find_file(server, caller, medium.file_id)
    room.take(found.facts.size_bytes)
    path = found.path
    if target is not None:
        await asyncio.to_thread(_copy, path, target)
    return MediaInput(**given, path=str(target or path))


def _copy(path: Path, target: Path) -> None:
    with storage_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
