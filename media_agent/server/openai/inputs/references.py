"""Images and videos of a request: a file of the form, a URL, a data URL, or the id of a file.

They are brought into the folder of the job before it is made, under names of our own. A path of
this machine is none of these, in whatever spelling.
"""

import asyncio
import base64
import binascii
import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from starlette.datastructures import UploadFile

from media_agent.errors import InvalidRequestError
from media_agent.server.access.caller import Caller
from media_agent.server.access.input_room import InputRoom
from media_agent.server.context import ServerContext
from media_agent.server.openai.body import Value, digest_of
from media_agent.server.openai.inputs.file_store import find_file
from media_agent.storage.files import make_folder, storage_errors
from media_agent_schemas.media import InputRole

_DATA_URL = re.compile(r"data:([^,;]*)(?:;[^,]*)?,", re.IGNORECASE)
_BLOCK = 1 << 20
_KEYS = ("image_url", "video_url", "url", "data", "file_id")
"""What may say where an input is, in an object."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One input of a request, from exactly one place."""

    field: str
    """What messages call it."""
    source: UploadFile | str
    """The file, the address or data URL, or the id of a file."""
    is_file_id: bool = False
    role: InputRole | None = None
    """None: as the model takes images."""
    at: Any = None
    """The place of a keyframe."""

    async def identify(self) -> dict[str, Any]:
        """Return what makes a repetition of it the same: the digest of bytes, or where it is."""
        said: dict[str, Any] = {"field": self.field, "role": self.role, "at": self.at}
        if isinstance(self.source, UploadFile):
            return said | {"sha256": await asyncio.to_thread(digest_of, self.source.file)}
        digest = hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()
        return said | {"file_id" if self.is_file_id else "url": digest}


def list_references(field: str, value: Value) -> list[Reference]:
    """Return what a field refers to: one place or several.

    Raises:
        InvalidRequestError: it is none of the places an input can be.
    """
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return [each for one in value for each in list_references(field, one)]
    if isinstance(value, UploadFile):
        return [Reference(field, value)]
    if isinstance(value, str):
        return [Reference(field, _check_address(field, value))]
    if isinstance(value, dict):
        return [_read_object(field, value)]
    raise _not_a_place(field)


async def bring(
    server: ServerContext, caller: Caller, references: Sequence[Reference], folder: Path
) -> list[Path]:
    """Bring inputs into a folder, in order; return where each is.

    Raises:
        InvalidRequestError: one cannot be had.
        StorageError: it cannot be written.
        TooLargeError: all of them together are too large.
    """
    paths, room = [], InputRoom(server.settings.server.max_upload_bytes)
    await asyncio.to_thread(make_folder, folder)
    for number, each in enumerate(references):
        path = await _bring_one(server, caller, each, folder / f"{number}", room)
        room.take((await asyncio.to_thread(path.stat)).st_size)
        paths.append(path)
    return paths


async def _bring_one(
    server: ServerContext, caller: Caller, reference: Reference, target: Path, room: InputRoom
) -> Path:
    source = reference.source
    if isinstance(source, UploadFile):
        await asyncio.to_thread(_copy, source.file, target)
    elif reference.is_file_id:
        found = await find_file(server, caller, source)
        with storage_errors(str(target)):
            await asyncio.to_thread(shutil.copyfile, found.path, target)
    elif source[:5].lower() == "data:":
        await asyncio.to_thread(_write_data_url, reference.field, source, target)
    else:
        from media_agent.server.access.inputs import fetch_input

        return await fetch_input(source, target.parent, max_bytes=room.left)
    return target


def _read_object(field: str, value: dict[str, Value]) -> Reference:
    places = {name: value[name] for name in _KEYS if value.get(name) not in (None, "")}
    others = sorted(set(value) - {*_KEYS, "role", "at", "type", "detail"})
    if len(places) != 1 or others:
        raise _not_a_place(field, others)
    ((name, place),) = places.items()
    if isinstance(place, dict) and isinstance(place.get("url"), str) and len(place) <= 2:
        place = place["url"]  # {"image_url": {"url": ...}}, as in chats
    role = _read_role(field, value.get("role"))
    at = value.get("at")
    if isinstance(place, UploadFile) and name == "data":
        return Reference(field, place, role=role, at=at)
    if not isinstance(place, str):
        raise _not_a_place(field)
    if name == "file_id":
        return Reference(field, place, is_file_id=True, role=role, at=at)
    if name == "data" and place[:5].lower() != "data:":
        place = f"data:;base64,{place}"
    return Reference(field, _check_address(field, place), role=role, at=at)


def _read_role(field: str, role: Value) -> InputRole | None:
    if role is None or role == "":
        return None
    if isinstance(role, str) and role in set(InputRole):
        return InputRole(role)
    known = ", ".join(InputRole)
    raise InvalidRequestError(f"{field}: unknown role {role!r:.60}", hint=f"valid: {known}")


def _check_address(field: str, place: str) -> str:
    lowered = place[:8].lower()
    if lowered.startswith(("http://", "https://")) or lowered.startswith("data:"):
        return place
    raise _not_a_place(field)


def _not_a_place(field: str, others: Sequence[str] = ()) -> InvalidRequestError:
    also = f"; unknown: {', '.join(others)}"[:200] if others else ""
    return InvalidRequestError(
        f"{field} is not one of a file of the form, an http(s) URL, a data URL, "
        f'{{"image_url"}} and {{"file_id"}}{also}',
        hint="paths of the server's machine are not read; send the file itself, or POST /v1/files",
    )


def _write_data_url(field: str, url: str, target: Path) -> None:
    head = _DATA_URL.match(url[:300])
    if head is None or not head[0].lower().endswith(";base64,"):
        raise InvalidRequestError(
            f"{field} is a data URL that is not base64",
            hint="such as data:image/png;base64,iVBO...",
        )
    try:
        content = base64.b64decode("".join(url[head.end() :].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{field} is a data URL of broken base64: {error}") from None
    if not content:
        raise InvalidRequestError(f"{field} is a data URL without content")
    with storage_errors(str(target)):
        target.write_bytes(content)


def _copy(file: BinaryIO, target: Path) -> None:
    file.seek(0)
    with storage_errors(str(target)), target.open("wb") as copy:
        shutil.copyfileobj(file, copy, _BLOCK)
