"""Why a service says no: by what it says for programs, and only then by its words.

Words may repeat a prompt, so that what they have to say is asked for in whole phrases.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from media_agent_hosted.parsing.lenient import space_words


class Cause(StrEnum):
    """Why a service says no, as far as it is clear."""

    CONTENT = "content"
    ACCOUNT = "account"
    BUSY = "busy"
    UNKNOWN_WORK = "unknown work"
    REQUEST = "request"
    OTHER = "other"


_BY_STATUS = {
    **dict.fromkeys(("401", "402", "403"), Cause.ACCOUNT),
    **dict.fromkeys(("408", "409", "425", "429", "500", "502", "503", "504"), Cause.BUSY),
    **dict.fromkeys(("404", "410"), Cause.UNKNOWN_WORK),
    **dict.fromkeys(("400", "413", "415", "422"), Cause.REQUEST),
}
_WORK = r"(?:task|job|request|work|operation|prediction|generation|record|resource|video|id)"

_BY_CODE = {
    Cause.CONTENT: r"moderat|content (polic|filter|reject|block|violat)|nsfw|safety|sensitive"
    r"|policy violation",
    Cause.ACCOUNT: r"api ?key|access key|token (is )?(expired|invalid)|(expired|invalid) token"
    r"|\bauth|unauthori[sz]|forbidden|permission|access denied"
    r"|balance|credit|quota|payment|billing|arrears|account",
    Cause.BUSY: r"rate ?limit|too many|concurren|throttl|busy|overload|unavailable|internal"
    r"|(server|system) error|time ?out|maintenance|limit exceeded|capacity|try again",
    Cause.UNKNOWN_WORK: rf"^({_WORK} )?(id )?(not ?found|not exists?)$|^(no such|unknown) {_WORK}",
    Cause.REQUEST: r"invalid|param|argument|validation|unsupported|missing|bad request",
}
_BY_WORDS = {
    Cause.CONTENT: r"\b(moderated|moderation|nsfw|unsafe|inappropriate|prohibited content)\b"
    r"|content (polic|filter)|polic(y|ies) violat|violat\w* .{0,40}(polic|guideline|terms)"
    r"|safety (system|filter|check|polic|guideline|reason|setting)|(?<!case )\bsensitive\b"
    r"|(content|prompt|image|request) (was |is |has been )?blocked",
    Cause.ACCOUNT: r"(insufficient|not enough|no|out of|low) (\w+ )?(balance|credits?|funds|quota)"
    r"|\b(balance|credits?|quota)\b.{0,20}\b(exceeded|insufficient|exhausted|used up|low|enough)"
    r"|exceed\w* (\w+ ){0,3}quota|\bnot authori[sz]ed\b|余额不足|欠费"
    r"|payment (is )?(required|failed|overdue)|\bbilling\b|arrears|permission|forbidden"
    r"|unauthori[sz]ed|\b(api|access) ?key\b|(invalid|expired) (\w+ )?(token|key|credentials?)"
    r"|\b(token|credentials?|session)( has| have| is| are)? (expired|invalid|revoked)|authenticat"
    r"|account (is |was |has been )?(suspended|locked|disabled|overdue)",
    Cause.BUSY: r"(?<!frame )\brate limit|too many (requests|jobs|tasks|concurrent)|throttled"
    r"|concurren(t|cy) (\w+ )?(limit|jobs|requests|tasks)"
    r"|\b(server|system|service|model|queue|engine|we)\b (\w+ ){0,2}(busy|overloaded)\b|overloaded"
    r"|temporarily|try again|(?:service|server|model) (is )?(currently )?unavailable|internal error"
    r"|\b(server|system) error|under maintenance|(at|out of|no) capacity"
    r"|\b(gateway|upstream|connection|read|server|request) (has )?(timed|time) ?out",
    Cause.UNKNOWN_WORK: rf"^not found$|^(the |this |your |such )?{_WORK}( id)?( \S+)?"
    r" (was |is |could )?(not (be )?found|does not exist|unknown)\b"
    rf"|\bno such {_WORK}\b|\bunknown {_WORK}\b",
    Cause.REQUEST: r"\b(invalid|parameters?|arguments?|validation|unsupported|must be|required)\b",
}
_OF_MONEY = re.compile(
    r"(insufficient|not enough|no|out of|low) (\w+ )?(balance|credits?|funds)|insufficient quota"
    r"|\b(balance|credits?|funds)\b.{0,20}\b(exceeded|insufficient|exhausted|used up|empty)"
    r"|\b(balance|credits?|funds)\b.{0,20}\b(too low|not enough)"
    r"|\bbilling\b|\bpayment\b|arrears|余额不足|欠费"
)
"""What no waiting mends, also where an account is called limited; a quota may be one of rate."""
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|“[^”]*”")


def cause_of(codes: Iterable[str], words: str) -> Cause:
    """Return why a service says no."""
    codes = tuple(codes)
    by_status = (_BY_STATUS[code] for code in codes if code in _BY_STATUS)
    by_code = (_first(_BY_CODE, space_words(code)) for code in codes if not code.isdecimal())
    found = next(filter(None, by_code), None) or next(by_status, None)
    return found or _first(_BY_WORDS, space_words(_QUOTED.sub(" ", words))) or Cause.OTHER


def wants_money(codes: Iterable[str], words: str) -> bool:
    """Whether an answer that asks to wait says that an account is empty, which no waiting mends."""
    said = (*codes, _QUOTED.sub(" ", words))
    return any(_OF_MONEY.search(space_words(each)) for each in said)


def _first(table: dict[Cause, str], said: str) -> Cause | None:
    return next((cause for cause, pattern in table.items() if re.search(pattern, said)), None)
