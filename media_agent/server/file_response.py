"""A file as an answer: ranges, conditions, and a name that is safe in a header."""

import asyncio
import os
import re
import stat
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from media_agent.errors import JobNotFoundError

_RANGES = re.compile(r"bytes\s*=\s*(.+)", re.IGNORECASE)
_RANGE = re.compile(r"(\d{0,19})-(\d{0,19})")
_MOST_RANGES = 20


async def answer_file(
    request: Request, path: Path, name: str, digest: str | None, *, media_type: str | None = None
) -> Response:
    """Return a file, or only what was asked of it; `digest` is that of its bytes.

    Raises:
        JobNotFoundError: it is gone.
        HTTPException: 416, it has none of the parts that Range names.
    """
    headers = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if digest:
        headers["ETag"] = f'"{digest}"'
    found = await asyncio.to_thread(_look_at, path)
    if found is None:
        hint = "it was moved or removed since it was made"
        raise JobNotFoundError(f"the file {name} is gone", hint=hint)
    if digest and is_known(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    parts = choose_ranges(request.headers.get("range"), found.st_size)
    return _File(
        path,
        headers=headers,
        media_type=media_type,
        filename=name,
        stat_result=found,
        content_disposition_type="inline",
        parts=parts,
    )


def choose_ranges(header: str | None, size: int) -> str | None:
    """Return the part of a Range header that a file of this size has; None: all of the file.

    A header that is malformed or of another unit, or names very many parts, counts as none.

    Raises:
        HTTPException: 416, every part is outside of the file.
    """
    match = None if header is None else _RANGES.fullmatch(header.strip())
    if match is None:
        return None
    asked = [part.strip() for part in match[1].split(",") if part.strip()]
    parts = [_RANGE.fullmatch(part) for part in asked]
    if not parts or len(parts) > _MOST_RANGES:
        return None
    chosen = []
    for part in parts:
        if part is None or part[0] == "-" or (part[1] and part[2] and int(part[1]) > int(part[2])):
            return None
        start = int(part[1]) if part[1] else max(0, size - int(part[2]))
        end = int(part[2]) if part[1] and part[2] else size - 1
        if start < size and (part[1] or int(part[2])):
            chosen.append(f"{start}-{min(end, size - 1)}")
    if not chosen:
        raise HTTPException(
            416, f"the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return f"bytes={','.join(chosen)}"


def _look_at(path: Path) -> os.stat_result | None:
    """Return what is known of a file; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def is_known(header: str | None, etag: str) -> bool:
    """Return whether If-None-Match names a file."""
    if header is None:
        return False
    named = [each.strip().removeprefix("W/") for each in header.split(",")]
    return "*" in named or etag in named


class _File(FileResponse):
    """A file of which the parts that are sent are chosen already."""

    chunk_size = 256 * 1024

    def __init__(self, *args: object, parts: str | None, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        if self._parts is not None:
            headers.append((b"range", self._parts.encode("ascii")))
        await super().__call__({**scope, "headers": headers}, receive, send)
