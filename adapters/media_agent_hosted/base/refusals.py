"""Answers that were read whole and say no, whatever their HTTP status.

Services say it in many ways: an `error`, a code that is not 0, `success: false`, `base_resp`. Only
a plain no refuses: what may as well be a yes leaves the outcome unknown.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

from pydantic import JsonValue

from media_agent.backend.polled import report_refusal
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
from media_agent_hosted.base.identity import fits_a_path
from media_agent_hosted.base.patience import Patience
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.errors import code_in, codes_in, plain, words_in
from media_agent_hosted.parsing.lenient import merged, spaced, text, trimmed, whole
from media_agent_hosted.parsing.names import is_for_a_name, work_named_in
from media_agent_hosted.parsing.states import State, spelled, state_of, state_said
from media_agent_schemas.events import JobFailed, JobProgressed
from media_agent_schemas.jobs import OperationRef

_MEANS_YES = ("success", "ok", "successful", "succeeded", "issuccess", "issuccessful", "isok")
_MEANS_NO = ("iserror", "haserror", "flagged")
_AROUND = ("response", "responsemetadata", "result", "output", "data")
"""Where an error may stand, besides in the answer itself."""
_FINE = re.compile(
    r"|0+|ok(ay)?|success(ful(ly)?)?|succeeded|none( so far)?|null|nil|n ?a|not applicable"
    r"|undefined|nothing|empty|true|false|no|warn(ing)?s?|info|无"
    r"|(no|none|without|zero) (errors?|issues?|problems?|failures?|warnings?)( \w+)?( so far)?"
)
_ERRORS = ("error", "errors", "failure", "failurereason", "fault", "exception")
_YES = re.compile(
    r"\b(success\w*|succe+ded|accepted|ok|okay|queued|submitted|created|received|started|pending"
    r"|processing|in progress|will be|being (made|processed|generated|created)|thanks?)\b"
    r"|成功|提交|排队"
)
_NOT = re.compile(
    r"\b(not|no|cannot|could ?n.t|can ?t|un\w+|fail\w*|errors?|invalid|den(y|ied)|refus\w*"
    r"|reject\w*|wrong|exceed\w*|insufficient|too|must|limit|blocked)\b|失败|错误|不"
)
_RESULTS = ("data", "result", "results", "output", "response", "video", "task", "job", "urls")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no, in the words of the service."""

    words: str
    codes: tuple[str, ...]
    is_plain: bool
    """Whether it is a no whatever else the answer says: an error, and not only an odd code."""
    is_told: bool = False
    """Whether it says what is wrong, and that is no trouble that passes."""

    @property
    def cause(self) -> Cause:
        """Why it says no."""
        return cause_of(self.codes, self.words)

    def before_acceptance(self, host: str) -> MediaAgentError:
        """Return the error for a submission that was refused: nothing was accepted."""
        said = f"{host} refuses it: {self.words}"
        match self.cause:
            case Cause.CONTENT:
                return ContentRejectedError(said, hint="change the prompt or the images")
            case Cause.ACCOUNT:
                return BackendAuthenticationError(said, hint="check the key and the credit there")
            case Cause.BUSY:
                return BackendRateLimitError(said, hint="nothing was accepted; try again later")
            case Cause.REQUEST:
                return InvalidRequestError(said, hint="change what the message names")
        return BackendRefusedError(said, hint="nothing was accepted")

    def of_poll(self, host: str) -> MediaAgentError | None:
        """Return the trouble with a poll that this is; None: it may be about the work."""
        said = f"{host} says: {self.words}"
        if self.cause is Cause.BUSY:
            return BackendUnavailableError(said, hint="try again later")
        if self.cause is Cause.ACCOUNT:
            return BackendAuthenticationError(said, hint="check the key and the credit there")
        return None


def refusal_in(body: JsonValue, named: JsonValue = None) -> Refusal | None:
    """Return the no in an answer, None if there is none.

    `named` is what stands where its words are due: it says why, and only that.
    """
    said = plain(merged(body))
    is_failed = state_of(state_said(merged(body))) is State.FAILED
    base = plain(said.get("baseresp"))
    around = [plain(said.get(name)) for name in _AROUND]
    errors = [place.get(name) for place in (said, *around) for name in _ERRORS]
    no: JsonValue = next((each for each in errors if _is_error(each)), None)
    if no is None and not is_fine(base.get("statuscode")) and not _is_a_yes(words_in(base)):
        no = {**base}
    code = code_in(said) or _http_status(said)
    is_plain = is_failed or no is not None or _says_no(said)
    words = words_in(named) or words_in(no) or words_in(said)
    is_odd = words != "" and (_is_odd(code) or bool(said.get("detail")))
    if not is_plain and (not is_odd or _is_a_yes(words)):
        return None
    codes = (*codes_in(no), *filter(None, (code,)))
    is_told = (no is not None or codes != ()) and cause_of(codes, words) is not Cause.BUSY
    return Refusal(words or "it says no, and not why", codes, is_plain, is_told)


def may_be_of_poll(refusal: Refusal | None, body: JsonValue, work: str) -> bool:
    """Whether an answer that says "failed" may speak of the question alone, and not of the work.

    It does not name the work, and what it complains of is what polls fail for.
    """
    is_named = any(text(value) == work for value in merged(body).values())
    return refusal is not None and not is_named and refusal.cause in (Cause.BUSY, Cause.ACCOUNT)


def end_of_poll(
    refusal: Refusal,
    patience: Patience,
    ref: OperationRef,
    waited: float,
    host: str,
    *,
    says_failed: bool = False,
) -> JobFailed | JobProgressed:
    """Return what a poll means that says no, and not how far the work is.

    It ends the work only if it is said again and again, for a while; trouble with the poll does so
    only where the answer says that something failed.

    Raises:
        BackendError: it is trouble with the poll, and says nothing about the work.
        OperationNotFoundError: the service does not know the work.
    """
    trouble = refusal.of_poll(host)
    if trouble is not None and not says_failed:
        raise trouble
    if not patience.is_refused(ref.operation_id, waited):
        said = f"{host} says {refusal.words!r}, and not how far the work is: it is asked again"
        return JobProgressed(phase="unknown", message=said)
    if refusal.cause is Cause.UNKNOWN_WORK:
        raise OperationNotFoundError(f"{host} says: {refusal.words}")
    return end_of(refusal, host, ref.model)


def end_of(refusal: Refusal, host: str, model: str | None) -> JobFailed:
    """Return the end of work of which its service says no, and which it called over."""
    said = f"{host} says: {refusal.words}"
    error: MediaAgentError = GenerationFailedError(said)
    if refusal.cause is Cause.CONTENT:
        error = ContentRejectedError(said, hint="change the prompt or the images")
    return JobFailed(error=to_info(error), model=model)


def accepted_as(
    reply: Reply, body: JsonValue, found: str | None, missing: str, named: JsonValue = None
) -> str:
    """Return the name of accepted work, if the answer to its submission has one.

    A name counts more than a no: a poll costs nothing, and tells. Only where the answer says itself
    that the work failed, and why, is it refused with a name. What stands at the place that is
    `named` for errors says no where nothing looks accepted.

    Raises:
        SubmitUncertainError: the answer says neither a name nor a no.
        MediaAgentError: it says no; nothing was accepted.
    """
    refusal = refusal_in(body, named)
    state = state_of(state_said(merged(body)))
    if found and not fits_a_path(found):
        raise reply.senseless(f"{missing}: {found[:100]!r} is no name")
    is_over = state is State.FAILED
    if found and not (is_over and refusal is not None and refusal.is_told):
        return found
    words = words_in(named) or words_in(body) or words_in(merged(body))
    if refusal is None and not _is_a_yes(words) and (_is_error(named) or _names_none(body, words)):
        refusal = Refusal(words or "an error", codes_in(named), is_plain=False)
    if refusal is not None and (is_over or not _looks_accepted(reply, refusal)):
        report_refusal()
        raise refusal.before_acceptance(reply.host)
    shown = words or (trimmed(json.dumps(body, ensure_ascii=False)) if body else "")
    raise reply.senseless(missing + (f"; it says: {shown}" if shown else ""))


def is_accepted_as(reply: Reply, found: Callable[[JsonValue], str | None], place: str) -> bool:
    """Whether an error of HTTP names accepted work, where its name is due at `place`.

    A complaint about the request names it only where the work is said to go on; and what names
    the request alone, as errors do, is no name of work.
    """
    if reply.status not in (400, 409, 422) and reply.status < 500:
        return False
    body = reply.object()
    name, state = found(body), state_of(state_said(merged(body)))
    if not name or not fits_a_path(name) or state in (State.FAILED, State.CANCELLED):
        return False
    is_of_work = is_for_a_name(place.rpartition(".")[2])
    why = cause_of(codes_in(body), words_in(body))
    is_no = why in (Cause.CONTENT, Cause.ACCOUNT, Cause.REQUEST) or refusal_in(body) is not None
    may_be = reply.status not in (400, 422) and is_of_work and not is_no
    return state is not None or may_be


def answer_to_submission(reply: Reply, place: str) -> JsonValue:
    """Return the JSON of an answer; where it has no body, the name in its `Location`, at `place`.

    That is the last part of an address right below the one that was asked.
    """
    if reply.status not in (201, 202) or reply.content.strip():
        return reply.json()
    there = urljoin(reply.url, reply.headers.get("location", ""))
    above, _, name = there.rpartition("/")
    is_below = above == reply.url.partition("?")[0].rstrip("/")
    if not is_below or re.fullmatch(r"[\w-]+", name) is None:
        return reply.json()
    body: JsonValue = name
    for part in reversed(place.split(".")):
        body = {part: body}
    return body


def _names_none(body: JsonValue, words: str) -> bool:
    """Whether a name of work is null or empty, and the words beside it say why."""
    places = (body, body.get("data")) if isinstance(body, dict) else ()
    fields = [field for each in places if isinstance(each, dict) for field in each.items()]
    is_none = any(not value and is_for_a_name(name) for name, value in fields)
    return is_none and cause_of((), words) not in (Cause.OTHER, Cause.UNKNOWN_WORK)


def _looks_accepted(reply: Reply, refusal: Refusal) -> bool:
    """Whether an answer that says no may be about work that was accepted all the same."""
    said = merged(reply.json())
    if work_named_in(said):
        return True
    has_results = any(_holds_more(said.get(name)) for name in _RESULTS)
    return not refusal.is_plain and (has_results or reply.status in (201, 202))


def _holds_more(value: JsonValue) -> bool:
    """Whether there is more in a place for results than an error and its words."""
    if isinstance(value, dict):
        return any(_holds_more(each) for name, each in value.items() if not _is_about_error(name))
    if isinstance(value, list):
        return any(map(_holds_more, value))
    return value not in (None, "", False, 0)


def _is_about_error(name: str) -> bool:
    return spaced(name) in ("error", "errors", "code", "message", "msg", "detail", "request id")


def _is_error(value: JsonValue) -> bool:
    """Whether something stands where an error is due, and is no word for work that goes on."""
    return bool(value) and not is_fine(value) and state_of(value) in (None, State.FAILED)


def _is_a_yes(words: str) -> bool:
    """Whether the words of an answer say yes, or at least that all is well."""
    said = spaced(words)
    return _YES.search(said) is not None and _NOT.search(said) is None


def is_fine(value: JsonValue) -> bool:
    """Whether an error, or a code, says that there is none: "none", "N/A", "No error", 0."""
    if isinstance(value, list):
        return all(map(is_fine, value))
    if not isinstance(value, dict):
        return not value if isinstance(value, bool) else _FINE.fullmatch(_word(value)) is not None
    named, code = plain(value), code_in(value)
    if code or not any(value.values()):
        return not _is_odd(code)
    kinds = [named.get(name) for name in ("severity", "level", "type") if named.get(name)]
    if any(text(kind) and is_fine(kind) for kind in kinds):
        return True
    return not kinds and words_in(value) != "" and is_fine(words_in(value))


def _word(value: JsonValue) -> str:
    """Return a value as words in small letters; what JSON spells without letters is kept empty."""
    return spaced(spelled(value))


def _is_odd(code: str) -> bool:
    """Whether a code is none of success, nor the word for work that goes on."""
    is_success = is_fine(code) or re.fullmatch(r"2\d\d|[12]0000", code)
    return not is_success and state_of(code) in (None, State.FAILED, State.CANCELLED)


def _says_no(said: dict[str, JsonValue]) -> bool:
    """Whether an answer says in one word that it is a no."""
    yes = (spelled(said[name]) for name in _MEANS_YES if said.get(name) is not None)
    is_no = any(word in ("false", "0", "no") for word in yes)
    return is_no or any(said.get(name) is True for name in _MEANS_NO)


def _http_status(said: dict[str, JsonValue]) -> str:
    """Return the status of HTTP that an answer repeats in its body, if it is that of a no."""
    status = whole(said.get("status"))
    return str(status) if status is not None and 400 <= status < 600 else ""
