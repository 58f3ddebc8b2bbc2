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
from media_agent.polled import refused
from media_agent_hosted.lenient import fits_a_path, merged, text, whole
from media_agent_hosted.replies import Reply, trimmed
from media_agent_hosted.states import Patience, State, spelled, state_of, state_said
from media_agent_schemas.events import JobFailed, JobProgressed

_WORDS = (
    *("message", "msg", "statusmsg", "errormessage", "errormsg", "errmsg", "reason", "detail"),
    *("details", "description", "failurereason", "failreason", "title", "error", "errors", "type"),
)  # names are compared in small letters and without _, as services write them in every way
_CODES = ("code", "statuscode", "errorcode", "errcode", "errno", "retcode", "resultcode", "ret")
_TYPES = ("errortype", "type", "status")
_MEANS_YES = ("success", "ok", "successful")
_MEANS_NO = ("iserror", "haserror", "flagged")
_AROUND = ("response", "responsemetadata", "result", "output", "data")
"""Where an error may stand, besides in the answer itself."""
_SAID = 3  # how often a poll has to say no before it is believed: services have bad moments
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
    BUSY = (
        r"rate.?limit|too many|concurren|throttl|busy|overload|temporar|try again|unavailable"
        r"|internal|(server|system) error|time.?out|timed out|maintenance"
    )
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
    answer = merged(body)
    said = _plain(answer)
    base = _plain(said.get("baseresp"))
    words, code = _words(said), _code(base) or _code(said) or _http_status(said)
    around = [_plain(said.get(name)) for name in _AROUND]
    errors = (place.get(name) for place in (said, *around) for name in ("error", "errors"))
    for place in (*errors, named):
        if place and not _is_fine(place) and state_of(place) in (None, State.FAILED):
            return Refusal(_words(place) or words or "an error", _code(place, _TYPES) or code, True)
    if not _is_fine(base.get("statuscode")):
        return Refusal(_words(base) or "an error", code, True)
    if state_of(state_said(answer)) is State.FAILED:
        return Refusal(words or "it failed", code, True)
    if _says_no(said):
        return Refusal(words or "it says no, and not why", code, True)
    if words and (_is_odd(code) or said.get("detail")):
        return Refusal(words, code, False)
    return None


def end_of_poll(
    refusal: Refusal, patience: Patience, work: str, host: str, model: str | None
) -> JobFailed | JobProgressed:
    """Return what a poll means that says no, and not how far the work is.

    It ends the work only if it is said again and again.

    Raises:
        BackendError: it is trouble with the poll, and says nothing about the work.
        OperationNotFoundError: the service does not know the work.
    """
    if patience.times(work, refusal.words) >= _SAID:
        return end_of(refusal, host, model)
    said = f"{host} says {refusal.words!r}, and not how far the work is: it is asked again"
    return JobProgressed(phase="unknown", message=said)


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
        is_live = state_of(state_said(merged(body))) not in (None, State.FAILED)
        if refusal is None or not refusal.is_plain or is_live:
            return found
    is_over = state_of(state_said(merged(body))) is State.FAILED
    if refusal is not None and (found or is_over or not _names_something(body)):
        refused()
        raise refusal.before_acceptance(reply.host)
    words = _words(body) if refusal is None else refusal.words
    raise reply.senseless(missing + (f"; it says: {words}" if words else ""))


def words_in(value: JsonValue) -> str | None:
    """Return the words of an error in whatever form it comes."""
    return _words(value) or None


def _is_fine(value: JsonValue) -> bool:
    """Whether an error, or a code, says that there is none."""
    if isinstance(value, dict):
        code = _code(value)
        return not any(value.values()) or (code != "" and not _is_odd(code))
    return not value if isinstance(value, list | bool) else spelled(value) in _FINE


def _is_odd(code: str) -> bool:
    """Whether a code is none of success, nor the word for work that goes on."""
    is_fine = _is_fine(code) or re.fullmatch(r"2\d\d|[12]0000", code)
    return not is_fine and state_of(code) in (None, State.FAILED, State.CANCELLED)


def _says_no(said: dict[str, JsonValue]) -> bool:
    """Whether an answer says in one word that it is a no."""
    yes = (spelled(said[name]) for name in _MEANS_YES if said.get(name) is not None)
    is_no = any(word in ("false", "0", "no") for word in yes)
    return is_no or any(said.get(name) is True for name in _MEANS_NO)


def _plain(value: JsonValue) -> dict[str, JsonValue]:
    """Return an object with its names in small letters and without _; an empty one for others."""
    if not isinstance(value, dict):
        return {}
    return {name.replace("_", "").casefold(): each for name, each in value.items()}


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
            named = _plain(value)
            found = (_words(named[name]) for name in _WORDS if named.get(name))
            where = named.get("loc")
            place = ".".join(str(part) for part in where) if isinstance(where, list) else ""
            said = next(filter(None, found), "") or _words_by_field(value)
            return f"{place}: {said}" if place and said else said
    return ""


def _words_by_field(value: dict[str, JsonValue]) -> str:
    """Return complaints that are listed by the field that they are about."""
    lists = ((name, _words(each)) for name, each in value.items() if isinstance(each, list))
    return trimmed("; ".join(f"{name}: {words}" for name, words in lists if words))


def _code(value: JsonValue, more: tuple[str, ...] = ()) -> str:
    named = _plain(value)
    found = (text(named.get(name)) for name in (*_CODES, *more))
    return next((code for code in found if code is not None), "")


def _http_status(said: dict[str, JsonValue]) -> str:
    """Return the status of HTTP that an answer repeats in its body, if it is that of a no."""
    status = whole(said.get("status"))
    return str(status) if status is not None and 400 <= status < 600 else ""
