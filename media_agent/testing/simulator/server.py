"""The HTTP server under every simulator, and what goes in and out of it."""

import json as json_module
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import JsonValue

from media_agent.testing.simulator.faults import Fault

_LARGEST_BODY = 64 * 2**20
_PIECES = 8  # in which a slow body comes


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came in."""

    name: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    arguments: Mapping[str, str] = field(default_factory=dict)  # groups of the route's pattern

    @property
    def has_bearer(self) -> bool:
        """Whether it has a header `Authorization: Bearer ...`, whatever the key."""
        return bool(re.fullmatch(r"Bearer \S+", self.headers.get("authorization", "")))

    def json(self) -> dict[str, JsonValue]:
        """Return the body as a JSON object; an empty one if it is anything else."""
        try:
            body = json_module.loads(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


Converse = Callable[[Callable[[bytes], object]], None]
"""Writes to a connection until it has nothing more to say; a client that is gone is an OSError."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int = 200
    body: JsonValue | bytes = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    converse: Converse | None = None
    """Takes the connection over after the headers, such as one that became a websocket."""

    def content(self) -> bytes:
        """Return the body as bytes."""
        return self.body if isinstance(self.body, bytes) else json_module.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Route:
    """One call of the provider's API."""

    method: str
    pattern: str  # a regular expression for the whole path
    name: str
    handler: Callable[[Call], Answer]
    needs_key: bool = True


def find_route(call: Call, routes: Iterable[Route]) -> tuple[Call, Route | None]:
    """Return a call with the name and the arguments of the route that takes it, and the route."""
    for route in routes:
        match = re.fullmatch(route.pattern, call.path)
        if match is not None and route.method == call.method:
            arguments = {name: value or "" for name, value in match.groupdict().items()}
            return replace(call, name=route.name, arguments=arguments), route
    return call, None


class SimulatorServer(ThreadingHTTPServer):
    """Hands every request to `serve` in a thread of its own; listens between `begin` and `end`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        serve: Callable[[Call], tuple[Answer | None, Fault | None]],
        wait: Callable[[float], None],
        port: int,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler, bind_and_activate=False)
        self.serve, self.wait = serve, wait
        self._thread: threading.Thread | None = None
        try:
            self.server_bind()
        except OSError:
            self.server_close()
            raise

    def begin(self) -> None:
        """Take connections; until then they are refused."""
        if self._thread is None:
            self.server_activate()
            self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Stop, and release the port."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SimulatorServer

    def handle_any(self) -> None:
        answer, fault = self.server.serve(self._call())
        if fault is not None and fault.kind in ("delay", "stall"):
            self.server.wait(fault.seconds if fault.kind == "delay" else threading.TIMEOUT_MAX)
        self.close_connection = True
        if answer is not None:
            self._write(answer, fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815  # names of the base

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # name of the base
        """Say nothing."""

    def _call(self) -> Call:
        parts = urlsplit(self.path)
        length = min(int(self.headers.get("Content-Length") or 0), _LARGEST_BODY)
        return Call(
            name="unknown",
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )

    def _converse(self, headers: Mapping[str, str], converse: Converse) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        converse(self.wfile.write)

    def _write(self, answer: Answer, fault: Fault | None) -> None:
        self.send_response(answer.status)
        if answer.converse is not None:
            self._converse(answer.headers, answer.converse)
            return
        content = answer.content()
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault is not None and fault.kind == "truncate":
            content = content[: len(content) // 2]
        if fault is None or fault.kind != "slow_body":
            self.wfile.write(content)
            return
        size = -(-len(content) // _PIECES) or 1
        for start in range(0, len(content), size):
            self.server.wait(fault.seconds / _PIECES)
            self.wfile.write(content[start : start + size])
