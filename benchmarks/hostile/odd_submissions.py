"""Oddities of the submission and of the list in which its work is looked for."""

import time
from email.utils import formatdate
from typing import Any

from exchange import KEY_MARK, SPELLINGS, WORDS, Exchange
from oddity import Oddity, Verdict
from protocols import stranger_video

_NO = (400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422, 423, 426, 431, 451)
_IN_200: dict[str, Any] = {
    "error object": {"error": {"code": "invalid_value", "message": WORDS}},
    "error text": {"error": WORDS},
    "errors": {"errors": [{"message": WORDS}]},
    "code": {"code": 1102, "message": WORDS, "data": None},
    "base_resp": {"task_id": "", "base_resp": {"status_code": 1008, "status_msg": WORDS}},
    "detail": {"detail": WORDS},
    "detail list": {"detail": [{"loc": ["body", "prompt"], "msg": WORDS, "type": "value_error"}]},
    "success false": {"success": False, "msg": WORDS},
    "id empty": {"id": "", "request_id": None, "error": {"message": WORDS}},
}
_WAITS = ("0", "-5", "Thu, 01 Jan 2015 00:00:00 GMT", "soon", "1e999", "0.0", "", "NaN")


def _refused(exchange: Exchange, value: list[Any]) -> None:
    if exchange.step != "submit":
        return
    status, shape = value
    exchange.accepts, reply = False, exchange.reply
    match shape:
        case "detail":
            reply.say(status, {"detail": WORDS})
        case "error":
            reply.say(status, {"error": {"message": WORDS, "code": None}})
        case "message":
            reply.say(status, {"message": WORDS, "error": WORDS})
        case "items":
            reply.say(status, {"detail": [{"loc": ["body"], "msg": WORDS, "type": "x"}]})
        case "text":
            reply.say(status, body=WORDS.encode(), Content_Type="text/plain")
        case "html":
            reply.page(status, WORDS)
        case _:
            reply.say(status)


def _redirected(exchange: Exchange, status: int) -> None:
    if exchange.step == "submit":
        exchange.accepts = False
        exchange.reply.say(status, Location=f"{exchange.files}/elsewhere")


def _refused_in_200(exchange: Exchange, shape: str) -> None:
    if exchange.step == "submit":
        exchange.accepts = False
        content: Any = _IN_200[shape]
        if exchange.case.kind == "http":  # its declaration names the place of the words
            content = {**content, "message": WORDS}
        exchange.reply.say(200, content)


def _failed_video(exchange: Exchange, _: None) -> None:
    if exchange.step == "submit":
        exchange.accepts = False
        error = {"code": "moderation", "message": WORDS}
        exchange.reply.say(200, {"object": "video", "status": "failed", "error": error})


def _busy_first(exchange: Exchange, wait: str) -> None:
    if exchange.step == "submit" and exchange.turn <= 2:
        exchange.accepts = False
        exchange.reply.say(429, {"detail": "busy"}, Retry_After=wait)


def _busy_always(exchange: Exchange, wait: str) -> None:
    if exchange.step == "submit":
        exchange.accepts = False
        exchange.reply.say(429, {"detail": WORDS}, Retry_After=wait)


def _broken_before(exchange: Exchange, status: int | str) -> None:
    if exchange.step == "submit":
        exchange.accepts = False
        _break(exchange, status)


def _broken_after(exchange: Exchange, status: int | str) -> None:
    if exchange.step == "submit":
        _break(exchange, status)


def _break(exchange: Exchange, how: int | str) -> None:
    reply = exchange.reply
    match how:
        case int():
            reply.page(how, "upstream trouble")
        case "drop":
            reply.drops = True
        case "late":
            reply.delay = 4.0
        case "half":
            reply.cut = 0.4
        case "empty":
            reply.say(200)
        case "204":
            reply.say(204)
        case "html":
            reply.page(200, "welcome")
        case "text":
            reply.say(200, body=b"OK", Content_Type="text/plain")


def _odd_success(exchange: Exchange, status: int) -> None:
    if exchange.step == "submit":
        exchange.reply.status = status


def _slow(exchange: Exchange, seconds: float) -> None:
    if exchange.step == "submit":
        exchange.reply.delay = seconds


def _strangers(exchange: Exchange, entries: list[Any]) -> None:
    if exchange.step == "list":
        shown: list[Any] = [
            stranger_video(each) if isinstance(each, str) and each.startswith("stranger") else each
            for each in entries
        ]
        exchange.reply.data["data"] = [*shown, *exchange.reply.data["data"]]


def _bare_list(exchange: Exchange, _: None) -> None:
    if exchange.step == "list":
        exchange.reply.data = exchange.reply.data["data"]


def _paged(exchange: Exchange, _: None) -> None:
    if exchange.step == "list" and exchange.turn % 2:
        data = [stranger_video(f"stranger{count}") for count in range(20)]
        exchange.reply.data = {"object": "list", "data": data, "has_more": True}


def _list_broken(exchange: Exchange, status: int) -> None:
    if exchange.step == "list" and exchange.turn <= 2:
        exchange.reply.page(status, "upstream trouble")


def _clock(exchange: Exchange, seconds: int) -> None:
    exchange.reply.headers["Date"] = formatdate(time.time() + seconds, usegmt=True)
    for entry in exchange.entries:
        if isinstance(entry, dict) and isinstance(entry.get("created_at"), int):
            entry["created_at"] += seconds


def _echo_refused(exchange: Exchange, spelling: str) -> None:
    if exchange.step == "submit":
        exchange.accepts = False
        exchange.reply.spell = SPELLINGS[spelling]
        words = f"{WORDS}: bad key {KEY_MARK} (x={KEY_MARK})"
        exchange.reply.say(401, {"detail": words, "message": words}, X_Fal_Error_Type=words)


_PAGES = ["message", "html", "text", "empty", "detail", "error", "items"]
_OPENAI = ("openai",)
SUBMISSIONS = (
    Oddity(
        "refused in words",
        "submit",
        _refused,
        tuple(
            [status, shape]
            for status in _NO
            for shape in ("detail", "error", "message", "items", "text")
        ),
        Verdict.REFUSED,
    ),
    Oddity(
        "refused by a page",
        "submit",
        _refused,
        tuple([status, shape] for status in _NO for shape in ("html", "empty")),
        Verdict.REFUSED_BARE,
    ),
    Oddity("redirected", "submit", _redirected, (301, 302, 303, 307, 308), Verdict.REFUSED_BARE),
    Oddity("refused in a 200", "submit", _refused_in_200, tuple(_IN_200), Verdict.REFUSED),
    Oddity("born failed", "submit", _failed_video, (None,), Verdict.REFUSED, _OPENAI),
    Oddity("429 twice", "submit", _busy_first, _WAITS),
    Oddity("429 for ever", "submit", _busy_always, ("0", "86400", "soon"), Verdict.REFUSED_BARE),
    Oddity("broken, not accepted", "submit", _broken_before, (500, 503, "drop"), Verdict.ENDS),
    Oddity(
        "accepted, then broken",
        "submit",
        _broken_after,
        (500, 502, 504, 520, "drop", "late", "half", "empty", "204", "html", "text"),
        Verdict.LOST,
    ),
    Oddity("accepted with 2xx", "submit", _odd_success, (201, 202, 203)),
    Oddity("accepted slowly", "submit", _slow, (1.2,)),
    Oddity("key echoed: refusal", "submit", _echo_refused, tuple(SPELLINGS), Verdict.REFUSED_BARE),
    Oddity(
        "list with strangers",
        "list",
        _strangers,
        (["stranger1"], ["stranger1", "stranger2"], [None, "text", {}, 7, "stranger1"], [{}]),
        kinds=_OPENAI,
    ),
    Oddity("list without object", "list", _bare_list, kinds=_OPENAI),
    Oddity("list in pages", "list", _paged, kinds=_OPENAI),
    Oddity("list broken twice", "list", _list_broken, (500, 503, 429, 404), kinds=_OPENAI),
    Oddity("clock wrong", "list", _clock, (-5, 5, -90, -32400, 32400, -86400 * 400), kinds=_OPENAI),
)
