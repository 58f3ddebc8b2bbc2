"""Answers that were read whole and say no, whatever their HTTP status.

Services say it in many ways: an `error`, a code that is not 0, `success: false`, `base_resp`. Only
a plain no refuses: what may as well be a yes leaves the outcome unknown.
"""

import re
from dataclasses import dataclass

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendUnavailableError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.errors import code_in, codes_in, plain, words_in
from media_agent_hosted.parsing.lenient import space_words, text, unwrap, whole
from media_agent_hosted.parsing.states import State, spell, state_of, state_said
from media_agent_schemas.errors import LONGEST_CODE

_MEANS_YES = ("success", "ok", "successful", "succeeded", "issuccess", "issuccessful", "isok")
_MEANS_NO = ("iserror", "haserror", "flagged")
_AROUND = ("response", "responsemetadata", "result", "output", "data")
"""Where an error may be, other than in the reply itself."""
_FINE = re.compile(
    r"|0+|ok(ay)?|success(ful(ly)?)?|succeeded|none( so far)?|null|nil|n ?a|not applicable"
    r"|undefined|nothing|empty|true|false|no|warn(ing)?s?|info|无"
    r"|(no|none|without|zero) (errors?|issues?|problems?|failures?|warnings?)( \w+)?( so far)?"
)
_CODE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.:/-]{{0,{LONGEST_CODE - 1}}}")
_HTTP_STATUS = re.compile(r"[45]\d\d")
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

    @property
    def code(self) -> str | None:
        """Its code, for programs to compare; None: it says none, or words in its place.

        A mere status of HTTP is the code only where nothing more telling stands beside it.
        """
        codes = [each for each in self.codes if _CODE.fullmatch(each) and _is_odd(each)]
        telling = (each for each in codes if not _HTTP_STATUS.fullmatch(each))
        return next(telling, codes[0] if codes else None)

    def before_acceptance(self, host: str) -> MediaAgentError:
        """Return the error for a submission that was refused: nothing was accepted."""
        return self._before_acceptance(host).with_provider_code(self.code)

    def _before_acceptance(self, host: str) -> MediaAgentError:
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
        error: MediaAgentError | None = None
        if self.cause is Cause.BUSY:
            error = BackendUnavailableError(said, hint="try again later")
        if self.cause is Cause.ACCOUNT:
            error = BackendAuthenticationError(said, hint="check the key and the credit there")
        return None if error is None else error.with_provider_code(self.code)


def provider_code_in(body: JsonValue) -> str | None:
    """Return the code of the no in an answer; None: there is none."""
    refusal = refusal_in(body)
    return None if refusal is None else refusal.code


def refusal_in(body: JsonValue, named: JsonValue = None) -> Refusal | None:
    """Return the no in an answer, None if there is none.

    `named` is what stands where its words are due: it says why, and only that.
    """
    said = plain(unwrap(body))
    is_failed = state_of(state_said(unwrap(body))) is State.FAILED
    base = plain(said.get("baseresp"))
    around = [plain(said.get(name)) for name in _AROUND]
    errors = [place.get(name) for place in (said, *around) for name in _ERRORS]
    no: JsonValue = next((each for each in errors if is_error(each)), None)
    if no is None and not is_fine(base.get("statuscode")) and not means_yes(words_in(base)):
        no = {**base}
    code = code_in(said) or _http_status(said)
    is_plain = is_failed or no is not None or _says_no(said)
    words = words_in(named) or words_in(no) or words_in(said)
    is_odd = words != "" and (_is_odd(code) or bool(said.get("detail")))
    if not is_plain and (not is_odd or means_yes(words)):
        return None
    codes = (*codes_in(no), *filter(None, (code,)))
    is_told = (no is not None or codes != ()) and cause_of(codes, words) is not Cause.BUSY
    return Refusal(words or "it says no, and not why", codes, is_plain, is_told)


def is_error(value: JsonValue) -> bool:
    """Whether something stands where an error is due, and is no word for work in progress."""
    return bool(value) and not is_fine(value) and state_of(value) in (None, State.FAILED)


def means_yes(words: str) -> bool:
    """Whether the words of an answer say yes, or at least that all is well."""
    said = space_words(words)
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
    return space_words(spell(value))


def _is_odd(code: str) -> bool:
    """Whether a code is none of success, nor the word for work in progress."""
    is_success = is_fine(code) or re.fullmatch(r"2\d\d|[12]0000", code)
    return not is_success and state_of(code) in (None, State.FAILED, State.CANCELLED)


def _says_no(said: dict[str, JsonValue]) -> bool:
    """Whether an answer says in one word that it is a no."""
    yes = (spell(said[name]) for name in _MEANS_YES if said.get(name) is not None)
    is_no = any(word in ("false", "0", "no") for word in yes)
    return is_no or any(said.get(name) is True for name in _MEANS_NO)


def _http_status(said: dict[str, JsonValue]) -> str:
    """Return the status of HTTP that an answer repeats in its body, if it is that of a no."""
    status = whole(said.get("status"))
    return str(status) if status is not None and 400 <= status < 600 else ""
