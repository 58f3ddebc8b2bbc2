"""What a fault makes of an answer; pure."""

import json
from collections.abc import Callable
from dataclasses import replace

from pydantic import JsonValue

from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def spoil(
    answer: Answer | None, fault: Fault, call: Call, error_body: Callable[[str], JsonValue]
) -> Answer | None:
    """Return what goes back where a fault strikes a call; None: nothing, it hangs up.

    `error_body` puts a text in the form in which the provider writes its errors.
    """
    match fault.kind:
        case "status":
            wait = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            return Answer(fault.status, error_body("a simulated fault"), headers=wait)
        case "echo":
            return _echo(call, fault.status, error_body)
        case "odd" if answer is not None and not isinstance(answer.body, bytes):
            return replace(answer, body=_distort(answer.body))
        case "mislabel" if answer is not None:
            return replace(answer, media_type="text/html")
        case "garbage":
            return Answer(200, b'{"\x00 garbage')
        case "html":
            return Answer(200, b"<html><body>Welcome</body></html>", media_type="text/html")
        case "close_before_accept" | "close_after_accept" | "stall":
            return None
        case _:
            return answer


def _echo(call: Call, status: int, error_body: Callable[[str], JsonValue]) -> Answer:
    """Say back all that was in the headers, in the body with every character escaped."""
    said = " ".join(call.headers.values())
    body = json.dumps(error_body("#"))
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in said)
    return Answer(status, body.replace("#", escaped).encode(), headers={"X-Error": said})


def _distort(body: JsonValue) -> bytes:
    """Return an answer that says what is needed, and everything else in an unexpected form."""
    strange = _drop_numbers(body)
    if isinstance(strange, dict):
        strange = {"x_unheard_of": [None, {"": []}], **strange}
    return _BYTE_ORDER_MARK + json.dumps(strange).encode()


def _drop_numbers(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {
                name: each if name.endswith("id") else _drop_numbers(each)
                for name, each in value.items()
            }
        case list():
            return [_drop_numbers(each) for each in value]
        case int() | float() if not isinstance(value, bool):
            return "n/a"
        case _:
            return value
