"""A mock of a service that speaks OpenAI's video API, cheap enough not to be what is measured.

`python upstream.py PORT --seconds 1 --video FILE` serves it until it is ended. A video is done so
many seconds after it was asked for; each has the same content. `GET /counts` says how many requests
of each kind came, and how many videos there are.
"""

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from pathlib import Path

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_PIECE = 2**20  # bytes of a video sent at once
_REASONS = {200: "OK", 404: "Not Found"}


class Upstream:
    """The videos, and the answers about them."""

    def __init__(self, *, seconds: float, video: Path) -> None:
        self._seconds = seconds
        self._video = video
        self._created: dict[str, float] = {}
        self._counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after another."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b" ", 2)
                await self._read_body(head, reader)
                await self._answer(method.decode(), path.decode().partition("?")[0], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read_body(self, head: bytes, reader: asyncio.StreamReader) -> None:
        if (length := _LENGTH.search(head)) is not None:
            await reader.readexactly(int(length[1]))
        elif _CHUNKED.search(head):
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()

    async def _answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> None:
        match method, path.strip("/").split("/"):
            case "POST", ["v1", "videos"]:
                self._counts["create"] += 1
                name = f"video_{len(self._created):08d}"
                self._created[name] = time.time()
                self._send_json(writer, self._describe(name))
            case "GET", ["v1", "videos", name] if name in self._created:
                self._counts["status"] += 1
                self._send_json(writer, self._describe(name))
            case "GET", ["v1", "videos", name, "content"] if name in self._created:
                self._counts["content"] += 1
                await self._send_video(writer)
            case "GET", ["v1", "models"]:
                self._send_json(writer, {"object": "list", "data": [{"id": "sora-2"}]})
            case "GET", ["counts"]:
                self._send_json(writer, {**self._counts, "videos": len(self._created)})
            case _:
                said = {"error": {"message": f"no {method} {path}", "code": "not_found"}}
                self._send_json(writer, said, status=404)
        await writer.drain()

    def _describe(self, name: str) -> dict[str, object]:
        created = self._created[name]
        is_done = time.time() >= created + self._seconds
        return {
            "id": name,
            "object": "video",
            "model": "sora-2",
            "status": "completed" if is_done else "in_progress",
            "progress": min(100, int(100 * (time.time() - created) / self._seconds)),
            "created_at": int(created),
            "completed_at": int(created + self._seconds) if is_done else None,
            "seconds": "4",
            "size": "720x1280",
            "error": None,
        }

    def _send_json(
        self, writer: asyncio.StreamWriter, body: dict[str, object], *, status: int = 200
    ) -> None:
        content = json.dumps(body).encode()
        writer.write(_head(status, "application/json", len(content)) + content)

    async def _send_video(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(200, "video/mp4", self._video.stat().st_size))
        with self._video.open("rb") as file:
            while piece := file.read(_PIECE):
                writer.write(piece)
                await writer.drain()


def _head(status: int, kind: str, length: int) -> bytes:
    lines = (f"HTTP/1.1 {status} {_REASONS[status]}", f"Content-Type: {kind}")
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


async def serve(port: int, upstream: Upstream) -> None:
    """Serve until this is cancelled."""
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=1.0, help="until a video is done")
    parser.add_argument("--video", type=Path, required=True, help="the content of each video")
    given = parser.parse_args()
    asyncio.run(serve(given.port, Upstream(seconds=given.seconds, video=given.video)))


if __name__ == "__main__":
    main()
