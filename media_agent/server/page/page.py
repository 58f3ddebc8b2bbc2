"""Serves the page: one HTML, one style sheet, a few ES modules; nothing from elsewhere."""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

from media_agent.server.file_response import is_known

router = APIRouter(include_in_schema=False)

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FOR_EVER = "public, max-age=31536000, immutable"  # its address changes with its content


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the page."""

    content: bytes
    media_type: str
    etag: str


@router.api_route("/", methods=["GET", "HEAD"])
async def get_page(request: Request) -> Response:
    """Return the page."""
    files = await asyncio.to_thread(_load)  # the first time they are read from the disk
    return _answer(request, files["index.html"], "no-cache")


@router.api_route("/assets/{version}/{name:path}", methods=["GET", "HEAD"])
async def get_asset(request: Request, version: str, name: str) -> Response:
    """Return a file of the page; one of another version is not kept by anybody."""
    file = (await asyncio.to_thread(_load)).get(name)
    if file is None:
        raise HTTPException(404, f"the page has no file {name!r}")
    return _answer(request, file, _FOR_EVER if version == find_version() else "no-cache")


@cache
def find_version() -> str:
    """Return the word in the addresses of the files, which changes when any of them does."""
    whole = hashlib.sha256()
    for path in _list():
        whole.update(path.relative_to(_STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:12]


def _answer(request: Request, file: _File, caching: str) -> Response:
    headers = {**HEADERS, "ETag": file.etag, "Cache-Control": caching}
    if is_known(request.headers.get("if-none-match"), file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


@cache
def _load() -> dict[str, _File]:
    """Return the files by name; they do not change while the server runs."""
    return {path.relative_to(_STATIC).as_posix(): _read(path) for path in _list()}


def _read(path: Path) -> _File:
    content = path.read_bytes()
    if path.suffix == ".html":
        content = content.replace(b"VERSION", find_version().encode())
    digest = hashlib.sha256(content).hexdigest()[:32]
    return _File(content, _TYPES[path.suffix], f'"{digest}"')


def _list() -> list[Path]:
    return sorted(path for path in _STATIC.rglob("*") if path.suffix in _TYPES)
