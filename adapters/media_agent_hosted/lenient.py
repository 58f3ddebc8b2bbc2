"""How replies of others are read: a decoration that makes no sense counts as not said.

Of a reply only the id, the state and the address of the result may refuse it.
"""

import math
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, ValidationError, ValidatorFunctionWrapHandler, WrapValidator


class State(StrEnum):
    """Where work stands, whatever the word of the provider is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


_WORDS = {
    State.QUEUED: "queued pending submitted created waiting scheduled in_queue not_started",
    State.RUNNING: "running processing in_progress inprogress started starting preparing working",
    State.COMPLETED: "completed complete succeeded succeed success successful done finished ready",
    State.FAILED: "failed fail failure error errored expired rejected timeout timed_out",
    State.CANCELLED: "cancelled canceled aborted",
    State.DELETED: "deleted",
}
_STATES = {word: state for state, words in _WORDS.items() for word in words.split()}


def state_of(word: str) -> State | None:
    """Return what a word of the trade means, in any case; None: nobody knows it."""
    return _STATES.get(word.strip().lower().replace("-", "_").replace(" ", "_"))


def _or_none(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    try:
        return handler(value)
    except ValidationError:
        return None


def _number(value: object) -> float | None:
    """Return a finite number, also out of a text such as "50%"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip().removesuffix("%") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    """Return a text in which each half of a surrogate pair is a question mark."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _identifier(value: object) -> object:
    """Return an id as text: some servers number their work."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else value


or_none = WrapValidator(_or_none)
"""Reads a field as its type says; None where that is impossible."""

Identifier = Annotated[str, BeforeValidator(_identifier)]
LenientNumber = Annotated[float | None, BeforeValidator(_number)]
LenientText = Annotated[str | None, BeforeValidator(_text)]
LenientTexts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
