"""Oddities of the states and of the polls."""

from typing import Any

from exchange import KEY_MARK, SPELLINGS, WORDS, Exchange
from oddity import Oddity, Verdict

_DONE = ("succeeded", "succeed", "Success", "SUCCEEDED", "Completed", "COMPLETED", "completed ")
_DONE_MORE = ("done", "DONE", "ready", "finished", "complete", " Succeeded")
_WAITING = ("pending", "submitted", "created", "starting", "preparing", "Queueing", "PENDING")
_WAITING_MORE = ("THROTTLED", "SUSPENDED", "RUNNING", "Processing", "dreaming", "requires_action")
_FAILED = ("failed", "FAILED", "Failed", "Fail", "error", "ERROR", "failure", "expired", "rejected")
_FAILED_MORE = ("Failed ", "aborted", "budget_exceeded", "incomplete")
_FOREIGN = ("fertig", "完了", "terminé", "готово", "7", "100%")
_OPENAI, _FAL, _HTTP = ("openai",), ("fal",), ("http",)
_BOTH = ("fal", "openai")


def _state_key(exchange: Exchange) -> str:
    return "state" if exchange.case.kind == "http" else "status"


def _word_when(exchange: Exchange, word: Any, *, done: bool) -> None:
    if exchange.step == "poll" and exchange.is_done is done:
        exchange.reply.data[_state_key(exchange)] = word


def _done_as(exchange: Exchange, word: str) -> None:
    _word_when(exchange, word, done=True)


def _waiting_as(exchange: Exchange, word: Any) -> None:
    _word_when(exchange, word, done=False)


def _stateless(exchange: Exchange, _: None) -> None:
    if exchange.step == "poll" and not exchange.is_done:
        exchange.reply.data.pop(_state_key(exchange))


def _failed_as(exchange: Exchange, word: str) -> None:
    if exchange.step == "poll" and exchange.is_done:
        data = exchange.reply.data
        data[_state_key(exchange)] = word
        data["message"] = WORDS
        data["error"] = WORDS if exchange.case.kind == "fal" else {"message": WORDS}
        data.pop("url", None)


def _failed_by_error(exchange: Exchange, error: Any) -> None:
    if exchange.step == "poll" and exchange.is_done:
        exchange.reply.data |= {"error": error, "error_type": "runner_disconnected"}
    if exchange.step == "result":
        exchange.reply.say(503, {"detail": WORDS, "error_type": "runner_disconnected"})


def _failed_at_result(exchange: Exchange, value: list[Any]) -> None:
    if exchange.step == "result":
        exchange.reply.say(value[0], {"detail": value[1]}, X_Fal_Retryable="false")


def _failed_as_http_error(exchange: Exchange, status: int) -> None:
    if exchange.step == "poll" and exchange.is_done:
        error = {"code": status, "message": WORDS}
        exchange.reply.data |= {"status": "failed", "error": error}
        exchange.reply.status = status


def _backwards(exchange: Exchange, word: str) -> None:
    if exchange.step == "poll" and exchange.turn == 2:
        exchange.reply.data[_state_key(exchange)] = word
    if exchange.step == "poll" and exchange.turn in (4, 5):  # it was done, and is not any more
        exchange.reply.data[_state_key(exchange)] = word


def _broken(exchange: Exchange, value: list[Any]) -> None:
    status, times = value
    if exchange.step == "poll" and exchange.turn <= times:
        exchange.reply.page(status, "upstream trouble")


def _result_broken(exchange: Exchange, status: int) -> None:
    if exchange.step == "result" and exchange.turn <= 2:
        exchange.reply.page(status, "upstream trouble")


def _result_early(exchange: Exchange, _: None) -> None:
    if exchange.step == "result" and exchange.turn <= 2:
        exchange.reply.say(400, {"detail": "Request is still in progress"})


def _forgotten(exchange: Exchange, status: int) -> None:
    if exchange.step in ("poll", "result"):
        exchange.reply.say(status, {"detail": "Not found"})


def _interrupted(exchange: Exchange, how: str) -> None:
    if exchange.step == "poll" and exchange.turn in (1, 3):
        match how:
            case "drop":
                exchange.reply.drops = True
            case "late":
                exchange.reply.delay = 3.0
            case "half":
                exchange.reply.cut = 0.5
            case "short":
                exchange.reply.longer = -20
            case "204":
                exchange.reply.say(204)
            case "empty":
                exchange.reply.say(200)
            case "null":
                exchange.reply.body = b"null"
            case "list":
                exchange.reply.data = [exchange.reply.data, None]


def _moved(exchange: Exchange, status: int) -> None:
    if exchange.step == "poll" and exchange.turn % 2:
        path = {
            "fal": "/hostile/videos/requests/{}/status",
            "openai": "/v1/videos/{}",
            "http": "/jobs/{}",
        }[exchange.case.kind]
        number = exchange.reply.data.get("id") or exchange.reply.data.get("request_id")
        exchange.reply.say(status, Location=path.format(number))


def _never_done(exchange: Exchange, word: str) -> None:
    if exchange.step == "poll":
        exchange.reply.data |= {_state_key(exchange): word, "progress": 10, "url": None}
        exchange.reply.status = 202 if exchange.case.kind == "fal" else 200
    if exchange.step == "result":
        exchange.reply.say(400, {"detail": "Request is still in progress"})
    if exchange.step == "video":
        exchange.reply.say(404, {"detail": "Generation is still in-progress"})


def _echo_failure(exchange: Exchange, spelling: str) -> None:
    _failed_as(exchange, "failed")
    if exchange.step == "poll" and exchange.is_done:
        exchange.reply.spell = SPELLINGS[spelling]
        text = f"{WORDS}: worker lost its key {KEY_MARK}"
        error = text if exchange.case.kind == "fal" else {"message": text, "code": KEY_MARK}
        exchange.reply.data |= {"error": error, "message": text, "error_type": KEY_MARK}
        if exchange.case.kind == "fal":
            exchange.reply.data["status"] = "COMPLETED"


def _echo_state(exchange: Exchange, spelling: str) -> None:
    if exchange.step == "poll" and not exchange.is_done:
        exchange.reply.spell = SPELLINGS[spelling]
        exchange.reply.data[_state_key(exchange)] = f"waits for {KEY_MARK}"
        exchange.reply.data["logs"] = [{"message": f"key {KEY_MARK}", "level": KEY_MARK}]


_ITEM = {"loc": ["body", "prompt"], "msg": WORDS, "type": "no_media_generated"}
COURSES = (
    Oddity("done in other words", "course", _done_as, _DONE + _DONE_MORE, kinds=_BOTH),
    Oddity(
        "done, spelled otherwise",
        "course",
        _done_as,
        ("Succeeded", "SUCCEEDED", "succeeded ", " succeeded\n"),
        kinds=_HTTP,
    ),
    Oddity("done in a foreign word", "course", _done_as, _FOREIGN, kinds=_OPENAI),
    Oddity(
        "waiting in other words", "course", _waiting_as, (*_WAITING, *_WAITING_MORE, None, "", 3)
    ),
    Oddity("waiting without a state", "course", _stateless),
    Oddity(
        "failed in other words",
        "course",
        _failed_as,
        _FAILED + _FAILED_MORE,
        Verdict.FAILED,
        _OPENAI,
    ),
    Oddity("failed in other words, fal", "course", _failed_as, _FAILED, Verdict.FAILED, _FAL),
    Oddity(
        "failed, spelled otherwise",
        "course",
        _failed_as,
        ("failed", "Failed", "FAILED "),
        Verdict.FAILED,
        _HTTP,
    ),
    Oddity(
        "completed with an error",
        "course",
        _failed_by_error,
        (WORDS, {"message": WORDS}, [WORDS], {"detail": WORDS}),
        Verdict.FAILED,
        _FAL,
    ),
    Oddity(
        "result refused",
        "course",
        _failed_at_result,
        ([422, [_ITEM]], [422, WORDS], [422, [_ITEM, None, "x"]]),
        Verdict.FAILED,
        _FAL,
    ),
    Oddity(
        "failed job with an HTTP error",
        "course",
        _failed_as_http_error,
        (400, 500, 503, 404),
        Verdict.FAILED,
        _OPENAI,
        "vllm",
    ),
    Oddity("states go backwards", "course", _backwards, ("queued", "in_progress", "IN_QUEUE")),
    Oddity(
        "poll broken",
        "course",
        _broken,
        tuple(
            [s, t] for s in (400, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503) for t in (1, 3)
        ),
    ),
    Oddity("result broken twice", "course", _result_broken, (404, 500, 502, 504), kinds=_FAL),
    Oddity("result too early", "course", _result_early, kinds=_FAL),
    Oddity("work forgotten", "course", _forgotten, (404, 410), Verdict.PAID),
    Oddity(
        "poll interrupted",
        "course",
        _interrupted,
        ("drop", "late", "half", "short", "204", "empty", "null", "list"),
    ),
    Oddity("poll moved", "course", _moved, (301, 302, 303, 307, 308)),
    Oddity("never done", "course", _never_done, ("in_progress", "IN_PROGRESS"), Verdict.NEVER),
    Oddity("key echoed: failure", "course", _echo_failure, tuple(SPELLINGS), Verdict.FAILED),
    Oddity("key echoed: state", "course", _echo_state, tuple(SPELLINGS)),
)
