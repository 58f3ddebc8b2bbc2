"""What looks like a key, and what to show in its place; pure.

A key is known by where it stands, under a telling name such as `token`, or by its own look: the
beginnings that services give to theirs, or a long mixture that no word and no file name is.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from pydantic import JsonValue

HIDDEN = "[key]"
"""What is shown in place of a key, here and wherever a reply is told."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ALWAYS_TELLING = frozenset(
    {"apikey", "authorization", "bearer", "cookie", "cookies", "credential", "credentials"}
    | {"jwt", "passphrase", "passwd", "password", "passwords", "pwd", "secret", "secrets"}
)
_TELLING_AT_THE_END = _ALWAYS_TELLING | {
    *("auth", "key", "keys", "pass", "pin", "session", "sid", "sig", "signature", "token", "tokens")
}
_ABOUT_A_KEY = frozenset(  # `key_file` says where a key is, `token_limit` is a number
    {"count", "env", "file", "header", "id", "length", "limit", "name", "path", "size"}
    | {"type", "url", "variable"}
)
_A_NUMBER_OF = frozenset({"max", "min", "num", "total"})  # `max_tokens`
_CONTAINERS = frozenset({"headers", "cookies"})  # whatever stands there may be a key

_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*\}|\$\{?\w+\}?")
_USER_INFO = re.compile(r"(?<=://)[^/\s@?#]+(?=@)")
_SCHEME = re.compile(r"(?i:\b(?:bearer|basic|digest) +)(?P<key>[^\s\"',;]{8,})")
_ASSIGNED = re.compile(
    r"""(?<![\w.-]) (?P<name>[\w.-]*[A-Za-z]) (?P<between>["']?\s*(?:=|:(?!//))\s*["']?)
        (?P<key>(?:(?i:bearer|basic|digest|token|key|bot)\s+)?[^\s"'&;,]+)""",
    re.VERBOSE,
)
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
_USER_OPTION = {"-u", "--user", "--proxy-user"}  # NAME:PASSWORD comes next

_BEGINNINGS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        (?: (?:sk|pk|rk|hf|r8|gsk|gh[pousr]|github_pat|npm|tgp) _
          | (?:sk|pk|rk|glpat|xox[abeoprs]|nvapi|xai|pplx|pypi) - )
          (?=[a-z_-]{0,200}[A-Z0-9]) [\w-]{12,}
      | (?:key|tok|pat|sess|luma) [_-] [0-9a-f-]{20,}
      | (?:AKIA|ASIA|AGPA|AIDA) [A-Z0-9]{12,} | AIza [\w-]{20,} | ya29\. [\w-]{12,}
      | SG\. [\w-]{12,} | eyJ [\w-]{8,4000}+ (?:\.[\w-]+){1,2}
      | [0-9A-Fa-f]{8}[0-9A-Fa-f-]{0,28} : [0-9A-Za-z]{16,}
    )""",
    re.VERBOSE,
)
_RUN = re.compile(
    r"(?<![\w./+-])[A-Za-z0-9]{20,}(?![\w/+-]|\.\w)"
)  # alone, not in a path or a name
_DIGESTS = {32, 40, 64, 96, 128}  # digits of MD5, SHA-1, SHA-256 and longer
_MIXED = 0.4  # of its steps from character to character change the kind, in a key of three kinds
_MIXED_OF_TWO = 0.2


def concealed(value: JsonValue, at: Sequence[str] = ()) -> JsonValue:
    """Return a value of the settings to look at: every key in it hidden; `at` names its place.

    Of headers and cookies all values are hidden: any of them may be a key.
    """
    return _concealed(value, at, _CONTAINERS)


def hidden_values(value: JsonValue, at: Sequence[str] = ()) -> Iterator[str]:
    """Yield what is a key in a value by its name or its look; what only may be one stays out."""
    yield from _differing(value, _concealed(value, at, frozenset()))


def without_keys(text: str) -> str:
    """Return a sentence without what looks like a key by itself; names of settings stay."""
    text = _USER_INFO.sub(HIDDEN, text)
    text = _BEGINNINGS.sub(HIDDEN, text)
    return _RUN.sub(lambda found: HIDDEN if _is_no_word(found[0]) else found[0], text)


def looks_like_a_key(text: str) -> bool:
    """Return whether there is something in a text that looks like a key by itself."""
    return without_keys(text) != text


def is_telling(name: str) -> bool:
    """Return whether what has this name, such as `api_key` or `X-Auth-Token`, is a secret."""
    words = [word.lower() for word in _WORD.findall(name) if len(word) > 1 and word.isalpha()]
    if not words or words[-1] in _ABOUT_A_KEY or words[0] in _A_NUMBER_OF:
        return False
    return words[-1] in _TELLING_AT_THE_END or not _ALWAYS_TELLING.isdisjoint(words)


def is_variable_name(text: str) -> bool:
    """Return whether a text can be shown as the name of a variable: no key looks like it."""
    usual = re.fullmatch(r"[A-Z_][A-Z0-9_]*|[a-z]+(_[a-z0-9]+)*", text)
    return usual is not None and not looks_like_a_key(text)


def _concealed(value: JsonValue, at: Sequence[str], containers: Collection[str]) -> JsonValue:
    name = at[-1] if at else ""
    if name.lower() in containers or (name.lower() not in _CONTAINERS and is_telling(name)):
        return _all_hidden(value)
    match value:
        case str():
            return _of_setting(value)
        case list():
            return [_item(value, number) for number in range(len(value))]
        case dict():
            return {name: _concealed(each, (*at, name), containers) for name, each in value.items()}
        case _:
            return value


def _differing(value: JsonValue, shown: JsonValue) -> Iterator[str]:
    if isinstance(value, dict) and isinstance(shown, dict):
        for name, each in value.items():
            yield from _differing(each, shown[name])
    elif isinstance(value, list) and isinstance(shown, list):
        for each, its in zip(value, shown, strict=True):
            yield from _differing(each, its)
    elif isinstance(value, str) and isinstance(shown, str) and value != shown:
        before, _, rest = shown.partition(HIDDEN)
        yield value[len(before) : len(value) - len(rest.rpartition(HIDDEN)[2])]


def _all_hidden(value: JsonValue) -> JsonValue:
    match value:
        case None | bool():
            return value
        case dict():
            return {name: _all_hidden(each) for name, each in value.items()}
        case list():
            return [_all_hidden(each) for each in value]
        case str() if _PLACEHOLDER.search(value):  # a template, such as "Bearer {key}"
            return _of_setting(value)
        case _:
            return HIDDEN


def _item(items: Sequence[JsonValue], number: int) -> JsonValue:
    """Return an item of a list, such as the words of a program: `--token`, then the key."""
    item, before = items[number], items[number - 1] if number else None
    if not isinstance(item, str) or not isinstance(before, str):
        return concealed(item)
    if _OPTION.fullmatch(before) and is_telling(before) and not _OPTION.match(item):
        return _all_hidden(item)
    if before in _USER_OPTION and ":" in item:
        return HIDDEN
    return concealed(item)


def _of_setting(text: str) -> str:
    """Return a text of the settings without keys: by name within it, by scheme, by look."""
    text = _ASSIGNED.sub(_assigned, text)
    text = _SCHEME.sub(_replaced, text)
    return without_keys(text)


def _assigned(found: re.Match[str]) -> str:
    return _replaced(found) if is_telling(found["name"]) else found[0]


def _replaced(found: re.Match[str]) -> str:
    """Return what was found with its key hidden, unless a placeholder stands there."""
    if HIDDEN in found["key"] or _PLACEHOLDER.search(found["key"]):
        return found[0]
    return found[0].removesuffix(found["key"]) + HIDDEN


def _is_no_word(run: str) -> bool:
    """Return whether letters and digits in a row are a mixture that no name is."""
    if run.isalpha() or run.isdigit():
        return False
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", run) and len(run) in _DIGESTS:
        return False
    is_of_two = run.lower() == run or run.upper() == run
    return _mixture(run) >= (_MIXED_OF_TWO if is_of_two else _MIXED)


def _mixture(run: str) -> float:
    """Return the share of steps from one kind of character to another."""
    kinds = [0 if c.isdigit() else 1 if c.isupper() else 2 for c in run]
    return sum(a != b for a, b in pairwise(kinds)) / len(run)
