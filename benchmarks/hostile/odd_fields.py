"""Oddities of fields nobody needs, of the bytes that JSON comes in, and of headers."""

import time
from email.utils import formatdate
from functools import partial
from typing import Any

from exchange import KEY_MARK, SPELLINGS, Exchange
from oddity import Oddity, Verdict

_DEEP: Any = None
for _ in range(150):
    _DEEP = {"a": [_DEEP]}
_ODD: tuple[Any, ...] = (
    None, "", "never", "10%", 7.5, -1, 0, True, [], [None], {"a": 1},
    "@raw:1e999@", "@raw:NaN@", "@raw:-Infinity@", "9" * 40, 10**30,
    "\ud83d", "x" * 50_000, ["a", {"b": None}], _DEEP,
)  # fmt: skip
_TIMES: tuple[Any, ...] = (
    None, 0, -1, "never", "2026-11-29T00:00:00Z", 1_790_000_000_000, 1.5, "@raw:1e999@", 10**25,
    "1790000000", [], True, "yesterday", "2026-02-30T99:00:00Z",
)  # fmt: skip
_FIELDS = {
    "openai": ("progress", "seconds", "size", "model", "object", "quality", "urls", "metrics",
               "fps", "inference_time_s", "num_outputs", "action", "file_path", "extra"),
    "fal": ("logs", "metrics", "queue_position", "request_id", "error_type", "extra"),
    "http": ("progress", "extra", "logs"),
}  # fmt: skip
_LOGS: tuple[Any, ...] = (
    None, "text", [None], ["a line"], [{"message": None}], [{"message": "\ud83d"}], {"a": 1},
    [{"level": 7}], [{"message": "ok", "timestamp": "@raw:NaN@"}], [[]],
)  # fmt: skip


def _decorated(exchange: Exchange, value: list[Any]) -> None:
    name, odd = value
    if exchange.step in ("submit", "poll", "list"):
        for entry in exchange.entries:
            if isinstance(entry, dict) and exchange.reply.status < 300:
                if name == "request_id" and exchange.step == "submit":
                    continue  # there it is the receipt
                entry[name] = odd


def _timed(exchange: Exchange, value: list[Any]) -> None:
    if exchange.step in ("submit", "poll", "list"):
        for entry in exchange.entries:
            if isinstance(entry, dict) and exchange.reply.status < 300:
                entry[value[0]] = value[1]


def _error_empty(exchange: Exchange, odd: Any) -> None:
    if exchange.step in ("submit", "poll"):
        for entry in exchange.entries:
            if not entry.get("error"):
                entry["error"] = odd


def _result_decorated(exchange: Exchange, value: list[Any]) -> None:
    name, odd = value
    data = exchange.reply.data
    if exchange.step == "result" and exchange.reply.status == 200 and isinstance(data, dict):
        place = data["video"] if name in ("content_type", "file_name", "fps", "width") else data
        place[name] = odd


def _size_said(exchange: Exchange, odd: Any) -> None:
    data = exchange.reply.data
    if exchange.step == "result" and exchange.reply.status == 200 and isinstance(data, dict):
        data["video"]["file_size"] = odd


def _numbered(exchange: Exchange, form: str) -> None:
    if not form.startswith("4") or exchange.step not in ("submit", "poll", "list"):
        return
    for entry in exchange.entries:
        name = "request_id" if exchange.case.kind == "fal" else "id"
        if isinstance(entry, dict) and str(entry.get(name, "")).isdecimal():
            entry[name] = int(entry[name])


def _wrapped(exchange: Exchange, name: str) -> None:
    if exchange.step in ("submit", "poll") and exchange.reply.status < 300:
        inner = exchange.reply.data
        exchange.reply.data = [inner] if name == "[]" else {name: inner, "code": 0, "msg": "ok"}


def _noted(note: bytes, content: bytes) -> bytes:
    """Add a field to a JSON object, byte for byte."""
    return content[:-1] + b', "note": ' + note + b"}" if content.endswith(b"}") else content


def _recoded(exchange: Exchange, how: str) -> None:
    reply = exchange.reply
    if exchange.step not in ("submit", "poll", "result", "list") or reply.data is None:
        return
    match how:
        case "BOM":
            reply.recode.append(lambda content: b"\xef\xbb\xbf" + content)
        case "Latin-1 byte":
            reply.recode.append(partial(_noted, b'"caf\xe9"'))
        case "lone surrogate":
            reply.recode.append(partial(_noted, b'"a \\ud83d"'))
        case "blanks around":
            reply.recode.append(lambda content: b"\r\n\r\n  " + content + b"\n\n")
        case "packed" if exchange.takes_gzip:
            reply.coding = 1
        case "chunked" | "close" | "http10":
            reply.transfer = how  # type: ignore[assignment]
        case "early hints":
            reply.early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        case "text/plain" | "text/html" | "application/octet-stream" | "text/json; charset=x":
            reply.headers["Content-Type"] = how
        case "no type":
            reply.headers["Content-Type"] = ""


def _packed_twice(exchange: Exchange, _: None) -> None:
    if exchange.step == "poll":
        exchange.reply.coding = 2


def _wait_said(exchange: Exchange, wait: str) -> None:
    if exchange.step == "poll" and not exchange.is_done:
        exchange.reply.headers["Retry-After"] = wait


def _header(exchange: Exchange, value: list[str]) -> None:
    exchange.reply.headers[value[0]] = value[1]


def _date(exchange: Exchange, seconds: int) -> None:
    exchange.reply.headers["Date"] = formatdate(time.time() + seconds, usegmt=True)


def _key_decorates(exchange: Exchange, spelling: str) -> None:
    """Repeat the key in everything that is not needed: who keeps it, leaks it."""
    exchange.reply.spell = SPELLINGS[spelling]
    exchange.reply.headers |= {"X-Request-Id": exchange.case.key, "X-Note": exchange.case.key}
    for entry in exchange.entries:
        if isinstance(entry, dict):
            entry |= {"note": KEY_MARK, "file_path": f"/srv/{KEY_MARK}", "revised_prompt": KEY_MARK}
            entry["logs"] = [{"message": f"used {KEY_MARK}", "level": "INFO"}]


_WAITS = ("0", "-1", "3600", "99999999999", "soon", "Thu, 01 Jan 2015 00:00:00 GMT", "1e999", "nan")
_HEADERS = (
    ["Set-Cookie", "a=b; Domain=.example"], ["Location", "http://127.0.0.1:1/"], ["Date", "today"],
    ["X-Odd", "caf\xe9 \xff"], ["Content-Language", "x" * 3000], ["Connection", "keep-alive"],
    ["Content-Disposition", "attachment"], ["Refresh", "0; url=/"],
)  # fmt: skip
_CODINGS = (
    "BOM", "Latin-1 byte", "lone surrogate", "blanks around", "packed",
    "chunked", "close", "http10", "early hints", "text/plain", "text/html",
    "application/octet-stream", "text/json; charset=x", "no type",
)  # fmt: skip
_OPENAI, _FAL = ("openai",), ("fal",)
_RESULT = ("seed", "timings", "has_nsfw_concepts", "content_type", "file_name", "fps", "videos")
FIELDS = (
    *(
        Oddity(
            f"field odd, {kind}",
            "fields",
            _decorated,
            tuple([name, odd] for name in names for odd in _ODD),
            kinds=(kind,),
        )
        for kind, names in _FIELDS.items()
    ),
    Oddity(
        "field odd, logs", "fields", _decorated, tuple(["logs", odd] for odd in _LOGS), kinds=_FAL
    ),
    Oddity(
        "times odd",
        "fields",
        _timed,
        tuple([n, o] for n in ("created_at", "completed_at", "expires_at") for o in _TIMES),
        kinds=_OPENAI,
    ),
    Oddity("error empty", "fields", _error_empty, (None, "", False), kinds=_FAL),
    Oddity("error empty, openai", "fields", _error_empty, (None, "", False, [], {}), kinds=_OPENAI),
    Oddity(
        "result odd",
        "fields",
        _result_decorated,
        tuple([name, odd] for name in _RESULT for odd in _ODD),
        kinds=_FAL,
    ),
    Oddity(
        "size senseless",
        "fields",
        _size_said,
        (None, "1 MB", "", -1, 0, [], {}, True, "@raw:NaN@", "@raw:1e999@"),
        kinds=_FAL,
    ),
    Oddity("size wrong", "fields", _size_said, (1, 10**9), Verdict.PAID, _FAL),
    Oddity("id", "id", _numbered, ("4{count}17", "a b+c{nonce}", "v:%41{nonce}", "é{nonce}")),
    Oddity("wrapped", "bytes", _wrapped, ("data", "result", "video", "[]"), kinds=_OPENAI),
    Oddity("bytes odd", "bytes", _recoded, _CODINGS),
    Oddity("poll packed twice", "bytes", _packed_twice, verdict=Verdict.PAID),
    Oddity("Retry-After odd", "headers", _wait_said, _WAITS),
    Oddity("header odd", "headers", _header, _HEADERS),
    Oddity("Date odd", "headers", _date, (-7200, 7200, -86400 * 9000)),
    Oddity("key echoed: decoration", "echo", _key_decorates, tuple(SPELLINGS)),
)
