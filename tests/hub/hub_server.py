"""A hub with one repository, under one name or several, as huggingface.co answers; its store."""

import hashlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "acme/tiny-video"
TOKEN = "hf_very_secret_4711"


@dataclass
class HubServer:
    """What it has, what it does wrong, and what it was asked."""

    files: dict[str, bytes]
    names: tuple[str, ...] = (REPOSITORY,)
    """Of repositories that all have these files."""
    gated: bool = False
    licence: dict[str, str] = field(default_factory=lambda: {"license": "apache-2.0"})
    cut: dict[str, list[int]] = field(default_factory=dict)
    """By file, how many bytes come before each of its next answers breaks off."""
    damaged: dict[str, int] = field(default_factory=dict)
    """By file, how many of its next answers have a wrong byte."""
    busy: int = 0
    """How many of the next requests for files are answered 503."""
    ranges: bool = True
    interrupted: set[str] = field(default_factory=set)
    """Files at half of which this process gets a SIGINT, as by Ctrl-C; each once."""
    requests: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    """Host, path, range and authorization of every request."""
    address: str = ""
    store: str = ""

    @classmethod
    def of_folder(cls, folder: Path) -> "HubServer":
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return cls({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})

    def asked(self, name: str) -> list[str | None]:
        """Return the ranges in which a file was asked for at the end of its redirects."""
        is_large = name.endswith(".safetensors")
        place = f"/blob/{name}" if is_large else f"/resolve/{COMMIT}/{name}"
        return [span for _, path, span, _ in self.requests if path.endswith(place)]

    def listing(self) -> dict[str, Any]:
        return {
            "id": REPOSITORY,
            "sha": COMMIT,
            "gated": "manual" if self.gated else False,
            "cardData": self.licence,
            "tags": ["diffusers"],
            "siblings": [self._list(name, content) for name, content in self.files.items()],
        }

    def _list(self, name: str, content: bytes) -> dict[str, Any]:
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        said: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git}
        if name.endswith(".safetensors"):
            sha256 = hashlib.sha256(content).hexdigest()
            said["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return said


@contextmanager
def serving(hub: HubServer) -> Iterator[HubServer]:
    """Listen on two ports meanwhile: that of the hub, and that of its store."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    hub.address, hub.store = (f"http://127.0.0.1:{each.server_address[1]}" for each in servers)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            path = unquote(urlsplit(self.path).path)
            token = self.headers.get("authorization")
            hub.requests.append((self.headers["host"], path, self.headers.get("range"), token))
            if path.startswith("/blob/"):
                self.send_file(path.removeprefix("/blob/"))
            elif (match := re.fullmatch(r"/api/models/(.+)/revision/(.+)", path)) is not None:
                self.send_listing(*match.groups())
            elif any(path.startswith(f"/{name}/resolve/{COMMIT}/") for name in hub.names):
                self.resolve(path.partition(f"/{COMMIT}/")[2], token)
            else:
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})

        def send_listing(self, name: str, revision: str) -> None:
            if name not in hub.names:
                self.answer(401, b"", {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("main", COMMIT):
                self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
            else:
                self.answer(200, json.dumps(hub.listing()).encode())

        def resolve(self, name: str, token: str | None) -> None:
            if hub.gated and token != f"Bearer {TOKEN}":
                self.answer(401, b"", {"X-Error-Code": "GatedRepo"})
            elif hub.busy:
                hub.busy -= 1
                self.answer(503, b"", {"Retry-After": "7"})
            elif name.endswith(".safetensors"):
                self.answer(302, b"", {"Location": f"{hub.store}/blob/{name}"})
            else:
                self.send_file(name)

        def send_file(self, name: str) -> None:
            content, status, headers = hub.files[name], 200, {}
            if name in hub.interrupted:
                hub.interrupted.remove(name)
                self.interrupt(content)
                return
            if hub.damaged.get(name, 0):
                hub.damaged[name] -= 1
                content = content[:-1] + bytes([content[-1] ^ 1])
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")
            if start is not None and hub.ranges:
                first, whole, status = int(start[1]), len(content), 206
                headers["Content-Range"] = f"bytes {first}-{whole - 1}/{whole}"
                content = content[first:]
            self.answer(status, content, headers, cut=hub.cut.get(name))

        def answer(
            self, status: int, body: bytes, headers: Any = (), *, cut: list[int] | None = None
        ) -> None:
            self.send_response(status)
            for key, value in dict(headers).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: cut.pop(0)] if cut else body)

        def interrupt(self, content: bytes) -> None:
            """Send half of a file, press Ctrl-C, and wait until the client is gone."""
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            time.sleep(0.3)  # until it is received
            os.kill(os.getpid(), signal.SIGINT)
            self.rfile.read(1)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
