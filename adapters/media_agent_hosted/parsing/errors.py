"""The words and codes of an error, in whatever form a service writes it."""

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import text, trim

_WORDS = (
    *("message", "msg", "statusmsg", "errormessage", "errormsg", "errmsg", "reason", "detail"),
    *(
        "details",
        "description",
        "faultstring",
        "failurereason",
        "failreason",
        "title",
        "error",
        "errors",
        "type",
    ),
)  # names are compared in small letters and without _, as services write them in every way
_CODES = ("code", "statuscode", "errorcode", "errcode", "errno", "retcode", "resultcode", "ret")
_TYPES = ("errortype", "type", "status")


def plain(value: JsonValue) -> dict[str, JsonValue]:
    """Return an object with its names in small letters and without _; an empty one for others."""
    if not isinstance(value, dict):
        return {}
    return {name.replace("_", "").casefold(): each for name, each in value.items()}


def words_in(value: JsonValue) -> str:
    """Return the words in an error: a text, its message, or those of all that it lists; or ""."""
    match value:
        case bool():
            return ""
        case str() | int() | float():
            return trim(text(value) or "")
        case list():
            return trim("; ".join(filter(None, map(words_in, value))))
        case dict():
            named = plain(value)
            found = (words_in(named[name]) for name in _WORDS if named.get(name))
            said = next(filter(None, found), "") or _words_by_field(value)
            place = _place(named.get("loc"))
            return f"{place}: {said}" if place and said else said
    return ""


def code_in(value: JsonValue) -> str:
    """Return the code in an error, or ""."""
    named = plain(value)
    said = (named.get(name) for name in _CODES)
    firsts = (each[0] if isinstance(each, list) and each else each for each in said)
    return next(filter(None, (text(each) for each in firsts)), "").partition("::")[0]


def codes_in(value: JsonValue) -> tuple[str, ...]:
    """Return all that an error says for programs: its codes and types, also those that it lists."""
    if isinstance(value, list):
        return tuple(code for each in value for code in codes_in(each))
    named = plain(value)
    return tuple(filter(None, (text(named.get(name)) for name in (*_CODES, *_TYPES))))


def _place(loc: JsonValue) -> str:
    """Return which field a complaint of FastAPI is about."""
    return ".".join(str(part) for part in loc if part != "body") if isinstance(loc, list) else ""


def _words_by_field(value: dict[str, JsonValue]) -> str:
    """Return complaints that are listed by the field that they are about."""
    lists = ((name, words_in(each)) for name, each in value.items() if isinstance(each, list))
    return trim("; ".join(f"{name}: {words}" for name, words in lists if words))
