"""Bodies that are too large, too slow, or lie about their length."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from media_agent.config.server_section import ServerSection
from media_agent.server.access.bodies import BodyLimits

pytestmark = pytest.mark.anyio

SECTION = ServerSection(max_json_bytes=2000, max_upload_bytes=5000)


async def count_bytes(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer how much came; any error on the way becomes a reply of its own, as FastAPI has it."""
    try:
        size = len(await Request(scope, receive).body())
    except Exception:  # noqa: BLE001
        await JSONResponse({"parsed": False}, 400)(scope, receive, send)
        return
    await JSONResponse({"size": size})(scope, receive, send)


class Call:
    """One call of the middleware, whose body comes in pieces; None: nothing comes."""

    def __init__(
        self, pieces: Iterable[bytes | None], headers: dict[str, str] | None = None
    ) -> None:
        self.pieces = list(pieces)
        self.headers = {"content-type": "application/json"} | (headers or {})
        self.sent: list[Message] = []
        self.time = 0.0
        self.seconds_per_piece = 0.0
        self.path = "/v1/videos"

    async def run(self) -> int:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), each.encode()) for name, each in self.headers.items()],
        }
        limited = BodyLimits(
            count_bytes, find_section=lambda: SECTION, stall_seconds=0.01, clock=lambda: self.time
        )
        await limited(scope, self.receive, self.send)
        (start,) = (each for each in self.sent if each["type"] == "http.response.start")
        return int(start["status"])

    async def receive(self) -> Message:
        self.time += self.seconds_per_piece
        piece = self.pieces.pop(0) if self.pieces else b""
        if piece is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [
        ("application/json", 2000, 200),
        ("application/json", 2001, 413),
        ("", 2001, 413),
        ("multipart/form-data; boundary=x", 5000, 200),
        ("multipart/form-data; boundary=x", 5001, 413),
        ("Multipart/Form-Data", 2001, 200),
    ],
)
@pytest.mark.parametrize("length", ["none", "true", "lie"])
async def test_a_body_has_the_limit_of_its_type_whatever_its_length_is_said_to_be(
    kind: str, size: int, status: int, length: str
) -> None:
    said = {"none": {}, "true": {"content-length": f"{size}"}, "lie": {"content-length": "1"}}
    call = Call([b"x" * 1000] * (size // 1000) + [b"x" * (size % 1000)], {"content-type": kind})
    call.headers |= said[length]

    assert await call.run() == status


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/jobs", "multipart/form-data; boundary=x"),
        ("/mcp", "multipart/form-data; boundary=x"),
        ("/v1/videos", "application/octet-stream"),
        ("/v1/videos", "video/mp4"),
    ],
)
async def test_only_forms_that_go_to_disk_may_be_as_large_as_files(path: str, kind: str) -> None:
    call = Call([b"x" * 2001], {"content-type": kind})
    call.path = path

    assert await call.run() == 413


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    call = Call([b"x"] * 3, {"content-length": "2001"})

    assert await call.run() == 413
    assert len(call.pieces) == 3
    assert (b"connection", b"close") in call.sent[0]["headers"]
    assert b'"code":"too_large"' in call.sent[1]["body"]


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", ""])
async def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert await Call([b""], {"content-length": length}).run() == 400


async def test_a_length_of_a_million_digits_is_only_too_large() -> None:
    assert await Call([b""], {"content-length": "9" * 10_000}).run() == 413


async def test_a_body_of_which_nothing_comes_is_ended() -> None:
    assert await Call([b"x", None]).run() == 408


@pytest.mark.parametrize(("seconds", "status"), [(1.0, 200), (20.0, 408)])
async def test_a_body_that_trickles_is_ended(seconds: float, status: int) -> None:
    call = Call([b"x"] * 6)
    call.seconds_per_piece = seconds

    assert await call.run() == status


async def test_waiting_for_the_caller_to_hang_up_is_not_slow() -> None:
    async def watch(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await receive()
        await JSONResponse({})(scope, receive, send)

    call = Call([])
    limited = BodyLimits(watch, find_section=lambda: SECTION, stall_seconds=0.01)
    first = True

    async def receive() -> Message:
        nonlocal first
        if not first:
            await asyncio.Event().wait()
        first = False
        return {"type": "http.request", "body": b"{}", "more_body": False}

    await limited({"type": "http", "path": "/", "headers": []}, receive, call.send)

    assert call.sent[0]["status"] == 200


@pytest.mark.parametrize(
    "headers",
    [{f"x-{number}": "1" for number in range(101)}, {"cookie": "a" * 40_000}],
    ids=["many", "long"],
)
async def test_too_many_and_too_long_headers_are_refused(headers: dict[str, str]) -> None:
    assert await Call([b"{}"], headers).run() == 413
