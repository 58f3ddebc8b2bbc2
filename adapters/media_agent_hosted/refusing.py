"""Answers that were read whole and say no, whatever their HTTP status: in whose words, and why.

Services say it in many ways: an `error`, a code that is not 0, `success: false`, `base_resp`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendUnavailableError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    to_info,
)
from media_agent_hosted.lenient import fits_a_path, merged, text
from media_agent_hosted.replies import Reply, trimmed
from media_agent_hosted.states import State, spelled, state_of
from media_agent_schemas.events import JobFailed

_WORDS = (
    *("message", "msg", "status_msg", "error_message", "error_msg", "errmsg", "reason", "detail"),
    *(
        "details",
        "description",
        "failure_reason",
        "fail_reason",
        "title",
        "error",
        "errors",
        "type",
    ),
)
_CODES = ("code", "status_code", "error_code", "errcode", "err_code")
_TYPES = ("error_type", "type", "status")
_NAME_OF_WORK = re.compile(
    r"^(?!(request|trace|log|session)_?id$).*(^|_)id$|^(task|job)Id$", re.IGNORECASE
)
_FINE = ("", "0", "ok", "success", "succeeded", "none", "null", "true")


class Cause(StrEnum):
    """Why a service says no, as far as its words tell."""

    CONTENT = r"moderat|content.?(policy|filter)|nsfw|safety|sensitive|blocked"
    ACCOUNT = (
        r"balance|credit|quota|payment|billing|arrears|permission|forbidden|unauthori[sz]|api.?key"
    )
    BUSY = r"rate.?limit|too many|concurren|throttl|busy|overload|temporar|try again"
    UNKNOWN_WORK = r"not.?found|no such|does not exist|unknown (task|job|id)"
    REQUEST = r"invalid|parameter|argument|validation|unsupported|must be|required"
    OTHER = ""


_BY_CODE = {
    **dict.fromkeys(("401", "402", "403"), Cause.ACCOUNT),
    **dict.fromkeys(("408", "409", "425", "429", "500", "502", "503", "504"), Cause.BUSY),
    **dict.fromkeys(("404", "410"), Cause.UNKNOWN_WORK),
    **dict.fromkeys(("400", "413", "415", "422"), Cause.REQUEST),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no, in the words of the service."""

    words: str
    code: str
    is_plain: bool
    """Whether it is a no whatever else the answer says: an error, and not only an odd code."""

    @property
    def cause(self) -> Cause:
        """Why, by its code and then by its words."""
        known = _BY_CODE.get(self.code)
        said = f"{self.code} {self.words}"
        return known or next(each for each in Cause if re.search(each, said, re.IGNORECASE))

    def before_acceptance(self, host: str) -> MediaAgentError:
        """Return the error for a submission that was refused: nothing was accepted."""
        said = f"{host} refuses it: {self.words}"
        match self.cause:
            case Cause.CONTENT:
                return ContentRejectedError(said, hint="change the prompt or the pictures")
            case Cause.ACCOUNT:
                return BackendAuthenticationError(said, hint="check the key and the credit there")
            case Cause.BUSY:
                return BackendRateLimitError(said, hint="nothing was accepted; try again later")
            case Cause.REQUEST:
                return InvalidRequestError(said, hint="change what the message names")
        return BackendRefusedError(said, hint="nothing was accepted")

    def of_work(self, host: str) -> MediaAgentError:
        """Return the error for work of which a poll says no: its end, or trouble with the poll."""
        said = f"{host} says: {self.words}"
        if self.cause is Cause.BUSY:
            return BackendUnavailableError(said, hint="try again later")
        if self.cause is Cause.ACCOUNT and self.code in _BY_CODE:
            return BackendAuthenticationError(said, hint="check the key and the credit there")
        if self.cause is Cause.UNKNOWN_WORK:
            return OperationNotFoundError(said)
        if self.cause is Cause.CONTENT:
            return ContentRejectedError(said, hint="change the prompt or the pictures")
        return GenerationFailedError(said)


def refusal_in(body: JsonValue, named: JsonValue = None) -> Refusal | None:
    """Return the no in an answer, None if there is none; `named` stands where its error is due."""
    said = merged(body)
    base = said.get("base_resp")
    for place in (said.get("error"), said.get("errors"), named):
        if place and not _is_fine(place) and state_of(place) in (None, State.FAILED):
            code = _code(place, _TYPES) or _code(base) or _code(said)
            return Refusal(_words(place) or _words(said) or "an error", code, True)
    if isinstance(base, dict) and not _is_fine(base.get("status_code")):
        return Refusal(_words(base) or "an error", _code(base), True)
    if _state_in(said) is State.FAILED:
        return Refusal(_words(said) or "it failed", _code(said), True)
    if any(said.get(name) is False for name in ("success", "ok", "successful")):
        return Refusal(_words(said) or "success: false", _code(said), True)
    words, code = _words(said), _code(said)
    is_odd = not _is_fine(code) and not re.fullmatch(r"2\d\d|[12]0000", code)
    if words and (is_odd or said.get("detail")):
        return Refusal(words, code, False)
    return None


def end_of(refusal: Refusal, host: str, model: str | None) -> JobFailed:
    """Return the end of work of which a poll says no.

    Raises:
        BackendError: it is trouble with the poll, and says nothing about the work.
        OperationNotFoundError: the service does not know the work.
    """
    error = refusal.of_work(host)
    if isinstance(error, ContentRejectedError | GenerationFailedError):
        return JobFailed(error=to_info(error), model=model)
    raise error


def accepted_as(reply: Reply, found: str | None, missing: str, named: JsonValue = None) -> str:
    """Return the name of accepted work, if the answer to its submission has one.

    A no that comes with a name is believed only where it is plain and nothing is at work.

    Raises:
        SubmitUncertainError: the answer says neither a name nor a no.
        MediaAgentError: it says no; nothing was accepted.
    """
    body = reply.json()
    refusal = refusal_in(body, None if found else named)
    if found and not fits_a_path(found):
        raise reply.senseless(f"{missing}: {found[:100]!r} is no name")
    if found:
        is_live = _state_in(merged(body)) not in (None, State.FAILED)
        if refusal is None or not refusal.is_plain or is_live:
            return found
    if refusal is not None and (found or not _names_something(body)):
        raise refusal.before_acceptance(reply.host)
    words = "" if refusal is None else f"; it says: {refusal.words}"
    raise reply.senseless(f"{missing}{words}")


def words_in(value: JsonValue) -> str | None:
    """Return the words of an error in whatever form it comes."""
    return _words(value) or None


def _is_fine(value: JsonValue) -> bool:
    """Whether an error, or a code, says that there is none."""
    if isinstance(value, dict | list):
        return not value
    return value is False or spelled(value) in _FINE


def _state_in(said: dict[str, JsonValue]) -> State | None:
    return state_of(said.get("status")) or state_of(said.get("state"))


def _names_something(body: JsonValue) -> bool:
    """Whether an answer names work at another place than where its name is due."""
    said = merged(body)
    inner = [each for name, each in said.items() if name != "error" and isinstance(each, dict)]
    return any(
        text(value) is not None and _NAME_OF_WORK.search(name)
        for each in (said, *inner)
        for name, value in each.items()
    )


def _words(value: JsonValue) -> str:
    """Return the words in an error: a text, its message, or those of all that it lists."""
    match value:
        case str() | int() | float() if not isinstance(value, bool):
            return trimmed(text(value) or "")
        case list():
            return trimmed("; ".join(filter(None, map(_words, value))))
        case dict():
            found = (_words(value[name]) for name in _WORDS if value.get(name))
            where = value.get("loc")
            place = ".".join(str(part) for part in where) if isinstance(where, list) else ""
            said = next(filter(None, found), "")
            return f"{place}: {said}" if place and said else said
    return ""


def _code(value: JsonValue, more: tuple[str, ...] = ()) -> str:
    if not isinstance(value, dict):
        return ""
    found = (text(value.get(name)) for name in (*_CODES, *more))
    return next((code for code in found if code is not None), "")
