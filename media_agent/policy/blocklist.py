"""The policy `blocklist`: words and phrases that no prompt may have, in any of their forms."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, JsonValue

from media_agent.errors import ConfigurationError
from media_agent.policy.decisions import (
    ALLOW,
    Allow,
    PolicyCall,
    PolicySettings,
    Refuse,
    VideoPolicy,
)
from media_agent.policy.options import read_options
from media_agent.policy.words import is_unspaced, list_forms, normalise, split_words
from media_agent_schemas.base import Schema
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

CODE = "blocked_word"
_LARGEST = 2**20  # bytes of a file of words


class BlocklistOptions(Schema):
    """The options of a blocklist."""

    words: tuple[str, ...] = Field(default=(), description="Words and phrases that are refused.")
    words_file: str | None = Field(
        default=None, description="A file with more of them, one a line; # begins a comment."
    )
    allow: tuple[str, ...] = Field(
        default=(), description="Phrases that are fine although they have such a word."
    )
    forms: bool = Field(default=True, description="Whether plurals and other forms count too.")


@dataclass(frozen=True, slots=True)
class Hit:
    """A blocked word that was found, as it is on the list and as it is written."""

    entry: str
    written: str


class Blocklist:
    """Finds entries in texts: whole words, never a part of one."""

    def __init__(
        self, entries: Collection[str], *, allowed: Iterable[str] = (), forms: bool = True
    ) -> None:
        self._forms = forms
        self._unspaced = {normalise(each): each for each in entries if is_unspaced(each)}
        self._phrases: dict[str, list[tuple[str, tuple[frozenset[str], ...]]]] = {}
        for entry in entries:
            if words := [] if is_unspaced(entry) else split_words(entry):
                pattern = tuple(self._forms_of(word) for word in words)
                for first in pattern[0]:
                    self._phrases.setdefault(first, []).append((entry, pattern))
        self._allowed = [words for each in allowed if (words := split_words(each))]

    def find(self, text: str) -> Hit | None:
        """Return the first entry that a text has, None if it has none."""
        words = split_words(text)
        fine = self._find_allowed(words)
        for place, word in enumerate(words):
            for entry, pattern in self._phrases.get(word, ()):
                found = words[place : place + len(pattern)]
                is_there = len(found) == len(pattern) and all(
                    written in forms for written, forms in zip(found, pattern, strict=True)
                )
                if is_there and not fine.issuperset(range(place, place + len(pattern))):
                    return Hit(entry, " ".join(found))
        whole = normalise(text) if self._unspaced else ""
        for written, entry in self._unspaced.items():
            if written in whole:
                return Hit(entry, written)
        return None

    def _forms_of(self, word: str) -> frozenset[str]:
        return frozenset(list_forms(word)) if self._forms else frozenset([word])

    def _find_allowed(self, words: list[str]) -> set[int]:
        """Return the places of the words of allowed phrases, whose last word may have an ending."""
        places: set[int] = set()
        for phrase in self._allowed:
            *begin, last = phrase
            forms = self._forms_of(last)
            for place in range(len(words) - len(phrase) + 1):
                found = words[place : place + len(phrase)]
                if found[:-1] == begin and found[-1] in forms:
                    places.update(range(place, place + len(phrase)))
        return places


class BlocklistPolicy(VideoPolicy):
    """Looks at what is asked and at what is sent: prompts, shots, label, and texts among options.

    What a video is *not* to show, `negative_prompt`, is not looked at.
    """

    def __init__(self, blocklist: Blocklist) -> None:
        self._blocklist = blocklist

    def before_plan(self, request: VideoRequest, call: PolicyCall) -> Allow | Refuse:
        """Refuse a request with a word of the list."""
        for place, text in _list_texts(request):
            hit = self._blocklist.find(text)
            if hit is not None:
                return Refuse(
                    CODE,
                    f"{place} has {hit.written!r}, which is on its list as {hit.entry!r}",
                    hint="say it in other words",
                )
        return ALLOW

    def before_submit(self, plan: Plan, call: PolicyCall) -> Allow | Refuse:
        """Refuse a plan with a word of the list, whoever put it there."""
        return self.before_plan(plan.request, call)


def make_blocklist(settings: PolicySettings) -> VideoPolicy:
    """Return the policy of a section.

    Raises:
        ConfigurationError: its options are faulty, or there are no words.
    """
    options = read_options(BlocklistOptions, settings)
    entries = list(options.words)
    if options.words_file is not None:
        entries += _read_words(settings.resolve_path(options.words_file))
    empty = [each for each in entries if not split_words(each) and not is_unspaced(each)]
    if empty or not entries:
        said = "has no words" if not entries else f"has {empty[0]!r}, which is no word"
        raise ConfigurationError(
            f"the blocklist {settings.name} {said}",
            hint=f'[policies.{settings.name}.options] words = ["..."], or words_file = "FILE"',
        )
    return BlocklistPolicy(Blocklist(entries, allowed=options.allow, forms=options.forms))


def _read_words(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ConfigurationError(f"the file of words {path} has more than {_LARGEST} bytes")
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"the file of words {path} cannot be read: {reason}") from None
    for line in text.splitlines():
        if word := line.partition("#")[0].strip():
            yield word


def _list_texts(request: VideoRequest) -> Iterator[tuple[str, str]]:
    if request.prompt is not None:
        yield "prompt", request.prompt
    for number, shot in enumerate(request.shots):
        yield f"shots[{number}].prompt", shot.prompt
    if request.visible_label is not None:
        yield "visible_label", request.visible_label
    for backend, options in request.options.items():
        yield from _list_strings(f"options.{backend}", options)


def _list_strings(
    place: str, value: JsonValue | Mapping[str, JsonValue]
) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield place, value
        case Mapping():
            for name, inner in value.items():
                yield from _list_strings(f"{place}.{name}", inner)
        case list():
            for number, inner in enumerate(value):
                yield from _list_strings(f"{place}[{number}]", inner)
        case _:
            pass
