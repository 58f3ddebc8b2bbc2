"""Oddities of the video itself and of where it lies."""

import base64
from typing import Any

from exchange import KEY_MARK, Exchange
from oddity import Oddity, Verdict

_OPENAI, _FAL, _HTTP = ("openai",), ("fal",), ("http",)


def _unhappy(exchange: Exchange, how: int | str) -> None:
    reply = exchange.reply
    match how:
        case 202 | 204 | 425:
            reply.say(how)
        case int():
            reply.say(how, {"detail": "Generation is still in-progress"})
        case "empty":
            reply.say(200, body=b"", Content_Type="video/mp4")
        case "json":
            reply.say(200, {"status": "processing"})
        case "html":
            reply.page(200, "one moment")
        case "xml":
            page = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
            reply.say(403, body=page, Content_Type="application/xml")


def _late(exchange: Exchange, value: list[Any]) -> None:
    how, seconds = value
    if exchange.step == "video" and exchange.waited < seconds:
        _unhappy(exchange, how)


def _absent(exchange: Exchange, how: int | str) -> None:
    if exchange.step == "video":
        _unhappy(exchange, how)


def _cut(exchange: Exchange, value: list[Any]) -> None:
    share, times, transfer = value
    if exchange.step == "video" and exchange.turn <= times:
        body = exchange.reply.body or b""
        exchange.reply.transfer = transfer
        exchange.reply.body = body[: int(len(body) * share)]


def _dropped(exchange: Exchange, share: float) -> None:
    if exchange.step == "video" and exchange.turn <= 2:
        exchange.reply.cut = share


def _labelled(exchange: Exchange, label: str) -> None:
    if exchange.step == "video":
        exchange.reply.headers["Content-Type"] = label


def _sent(exchange: Exchange, transfer: Any) -> None:
    if exchange.step == "video":
        exchange.reply.transfer = transfer


def _packed(exchange: Exchange, times: int) -> None:
    if exchange.step == "video" and (exchange.takes_gzip or times > 1):
        exchange.reply.coding = times


def _promises_more(exchange: Exchange, bytes_more: int) -> None:
    if exchange.step == "video":
        exchange.reply.longer = bytes_more


def _drips(exchange: Exchange, seconds: float) -> None:
    if exchange.step == "video":
        exchange.reply.slow = seconds


def _redirected(exchange: Exchange, value: list[Any]) -> None:
    status, hops = value
    if exchange.step == "video" and exchange.turn <= hops:
        work = f"w{exchange.case.nonce}x0"
        exchange.reply.say(status, Location=f"{exchange.files}/video/{work}.mp4")


def _names(exchange: Exchange, name: str) -> None:
    if exchange.step == "video":
        exchange.reply.headers["Content-Disposition"] = f'attachment; filename="{name}"'


def _address(exchange: Exchange, form: str) -> None:
    is_place = exchange.step == ("result" if exchange.case.kind == "fal" else "poll")
    if not is_place or not exchange.is_done:
        return
    data, files = exchange.reply.data, exchange.files
    path = f"/video/w{exchange.case.nonce}x0.mp4"
    url: Any = {
        "foreign": files + path,
        "own host": exchange.base + path,
        "from the root": path,
        "without scheme": files.removeprefix("http:") + path,
        "with a query": f"{files}{path}?src=https://cdn.example/a.mp4&sig=a%2Fb%3D",
        "with a fragment": f"{files}{path}#t=0",
        "capitals": files.replace("http", "HTTP") + path,
        "spaces around": f" {files}{path}\n",
        "in a list": [files + path],
        "user in it": files.replace("://", "://user:pw@") + path,
        "as data": "data:video/mp4;base64," + base64.b64encode(b"\0" * 99).decode(),
        "key in it": f"{files}{path}?token={KEY_MARK}",
    }.get(form)
    if exchange.case.kind != "fal":
        data["url"] = url
    elif form == "as text":
        data["video"] = data["video"]["url"]
    elif form == "videos":
        data["videos"] = [data.pop("video")]
    elif form == "video list":
        data["video"] = [data["video"]]
    elif form == "wrapped":
        exchange.reply.data = {"data": data, "requestId": "x"}
    else:
        data["video"]["url"] = url


def _address_late(exchange: Exchange, polls: int) -> None:
    if exchange.step == "poll" and exchange.turn <= 3 + polls:
        exchange.reply.data["url"] = None


def _elsewhere(exchange: Exchange, where: str) -> None:
    """Give the address at another place of the video, and no /content."""
    if exchange.step == "poll" and exchange.is_done:
        url = f"{exchange.files}/video/w{exchange.case.nonce}x0.mp4"
        found: Any = {"url": url}
        for name in reversed(where.split(".")[:-1]):
            found = [found] if name == "0" else {name: found}
        exchange.reply.data |= {"url": None, "urls": None, **found}
    if exchange.step == "video" and exchange.turn == 1:
        exchange.reply.say(404, {"detail": "Not Found"})


def _queue_addresses(exchange: Exchange, form: str) -> None:
    if exchange.step != "submit":
        return
    for name in ("status_url", "response_url", "cancel_url"):
        url = exchange.reply.data[name]
        exchange.reply.data[name] = {
            "absent": None,
            "https": url.replace("http://", "https://"),
            "localhost": url.replace("127.0.0.1", "localhost"),
            "another host": url.replace(exchange.base, "https://queue.example"),
            "from the root": url.replace(exchange.base, ""),
            "without scheme": url.replace("http:", ""),
        }[form]


_LATE = (404, 403, 400, 422, 409, 425, 202, 204, 500, 503, "empty", "json", "html", "xml")
_LABELS = (
    "text/html",
    "application/json",
    "image/png",
    "binary/octet-stream",
    "",
    "Video/MP4; a=b",
)
VIDEOS = (
    Oddity("video late", "video", _late, tuple([how, s] for how in _LATE for s in (0.5, 2, 4))),
    Oddity("video absent", "video", _absent, (404, 403, 202, "empty", "html"), Verdict.NEVER),
    Oddity(
        "video cut",
        "video",
        _cut,
        tuple(
            [s, t, how] for s in (0.3, 0.9, 0.995) for t in (1, 2) for how in ("close", "length")
        ),
    ),
    Oddity(
        "video cut for ever",
        "video",
        _cut,
        tuple([s, 999, how] for s in (0.3, 0.9, 0.995) for how in ("close", "http10", "length")),
        Verdict.NEVER,
    ),
    Oddity("video dropped twice", "video", _dropped, (0.0, 0.5, 0.99)),
    Oddity("video under a wrong label", "video", _labelled, _LABELS),
    Oddity("video without a length", "video", _sent, ("chunked", "close", "http10")),
    Oddity("video packed", "video", _packed, (1,)),
    Oddity("video packed twice", "video", _packed, (2,), Verdict.PAID),
    Oddity("video promises more", "video", _promises_more, (1, 4096), Verdict.PAID),
    Oddity("video drips", "video", _drips, (1.0,)),
    Oddity(
        "video redirected",
        "video",
        _redirected,
        tuple([s, h] for s in (301, 302, 303, 307, 308) for h in (1, 3)),
    ),
    Oddity("video redirected in a ring", "video", _redirected, ([302, 999],), Verdict.NEVER),
    Oddity("video with a name", "video", _names, ("../../../tmp/evil.mp4", "a\\b", "x" * 3000)),
    Oddity(
        "address odd",
        "address",
        _address,
        (
            "foreign",
            "own host",
            "from the root",
            "without scheme",
            "with a query",
            "with a fragment",
            "capitals",
            "spaces around",
            "in a list",
            "key in it",
        ),
    ),
    Oddity("address unusual", "address", _address, ("user in it", "as data"), Verdict.PAID),
    Oddity(
        "address of fal odd",
        "address",
        _address,
        ("as text", "videos", "video list", "wrapped"),
        kinds=_FAL,
    ),
    Oddity("address late", "address", _address_late, (1, 3), kinds=_HTTP),
    Oddity(
        "address elsewhere",
        "address",
        _elsewhere,
        ("metadata.url", "video.url", "data.0.url", "output.url"),
        kinds=_OPENAI,
    ),
    Oddity(
        "queue addresses odd",
        "id",
        _queue_addresses,
        ("absent", "localhost", "from the root", "without scheme"),
        kinds=_FAL,
    ),
    Oddity(
        "queue addresses foreign",
        "id",
        _queue_addresses,
        ("https", "another host"),
        Verdict.PAID,
        _FAL,
    ),
)
