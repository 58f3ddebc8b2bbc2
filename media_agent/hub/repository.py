"""What a repository holds at one commit: its files with sizes and checksums, licence, access."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from media_agent.errors import BackendResponseError, InvalidRequestError
from media_agent.hub.client import AgainError, Hub
from media_agent.storage.network import TROUBLE, decode, reason_of

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,96}(/[A-Za-z0-9_.-]{1,96})?")
_LARGEST_LISTING = 64 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository."""

    name: str
    size: int
    sha256: str | None
    """Of large files; the hub knows the others by their Git hash."""
    git_hash: str | None


@dataclass(frozen=True, slots=True)
class Repository:
    """A model at one commit."""

    name: str
    commit: str
    licence: str | None
    """As the hub says it."""
    is_gated: bool
    files: Mapping[str, HubFile]

    def path_of(self, name: str) -> str:
        """Return where a file is, below the address of the hub."""
        return f"/{self.name}/resolve/{self.commit}/{quote(name)}"


class _Lfs(BaseModel):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _Sibling(BaseModel):
    rfilename: str
    size: int | None = Field(default=None, ge=0)
    blob_id: str | None = Field(default=None, alias="blobId", pattern="^[0-9a-f]{40}$")
    lfs: _Lfs | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    sha: str = Field(pattern="^[0-9a-f]{40}$")
    gated: bool | str | None = None
    tags: tuple[str, ...] = ()
    card: Mapping[str, JsonValue] | None = Field(default=None, alias="cardData")
    siblings: tuple[_Sibling, ...] = ()


async def look_up(hub: Hub, name: str, revision: str = "main") -> Repository:
    """Ask what a repository holds; a branch or tag becomes the commit that it means now.

    Raises:
        InvalidRequestError: its name is malformed, or there is no such repository or revision.
        BackendAuthenticationError: it is gated and the token gives no access.
        BackendResponseError: the answer makes no sense.
        BackendUnavailableError: the hub cannot be reached.
    """
    if _NAME.fullmatch(name) is None or ".." in name:
        raise InvalidRequestError(
            f"{name[:200]!r} is no name of a repository",
            hint="it is OWNER/NAME, such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        )
    path = f"/api/models/{name}/revision/{quote(revision, safe='')}?blobs=true"
    try:
        answer = _Answer.model_validate_json(await read(hub, path, name, _LARGEST_LISTING))
    except ValidationError as error:
        raise BackendResponseError(f"{hub.host} lists no files of {name}") from error
    files = (_to_file(each) for each in answer.siblings)
    return Repository(
        name=name,
        commit=answer.sha,
        licence=_find_licence(answer),
        is_gated=bool(answer.gated),
        files={file.name: file for file in files if file is not None},
    )


async def read(hub: Hub, path: str, repo: str, largest: int) -> bytes:
    """Return a short answer whole.

    Raises:
        MediaAgentError: it cannot be had, or is too long.
    """
    body = bytearray()
    try:
        async with hub.open(path, repo) as response:
            async for piece in decode(response):
                body += piece
                if len(body) > largest:
                    raise BackendResponseError(f"{hub.host} answers with over {largest} bytes")
    except AgainError as error:
        raise error.error from error
    except TROUBLE as error:
        raise BackendResponseError(f"{hub.host} broke off ({reason_of(error)})") from error
    return bytes(body)


def _to_file(sibling: _Sibling) -> HubFile | None:
    """Return a file; None: its name leads out of the folder, or nobody knows its size."""
    name, lfs = sibling.rfilename, sibling.lfs
    path = PurePosixPath(name)
    size = sibling.size if lfs is None else lfs.size
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or size is None:
        return None
    return HubFile(name, size, None if lfs is None else lfs.sha256, sibling.blob_id)


def _find_licence(answer: _Answer) -> str | None:
    card = answer.card or {}
    licence = card.get("license")
    if licence == "other":
        licence = card.get("license_name") or licence
    if isinstance(licence, str):
        return licence
    tags = (tag.removeprefix("license:") for tag in answer.tags if tag.startswith("license:"))
    return next(tags, None)
