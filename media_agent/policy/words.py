"""Words in a text, and the forms of a word: by a few rules of English, without a dictionary.

`kill` has the forms kills, killed, killing, killer, killers; `strip` stripped, stripping; `party`
parties; `nude` nudes, nuded, nuding. The rules make some forms that nobody uses, which does no
harm, and miss irregular ones (`shot` of `shoot`), which have to be listed. Words of other languages
are matched as they are written, and with the same endings.
"""

import re
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’](?:s)?$")
_VOWELS = "aeiou"
_ENDINGS = ("s", "es", "ed", "ing", "er", "ers")
_SHORTEST = 3  # letters of a word that has forms
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
)
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese: no spaces between words."""


_UNSEEN = re.compile(
    "[\u0300-\u036f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""What is not seen or is no letter, beside format characters: strokes and accents that belong to no
letter (those that do were composed), fillers, selectors of variants."""


def normalise(text: str) -> str:
    """Return a text in one form: compatibility letters, no case, nothing that cannot be seen."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(each for each in folded if unicodedata.category(each) != "Cf")
    return _UNSEEN.sub("", seen)


def split_words(text: str) -> list[str]:
    """Return the words of a text in their order, without possessive endings."""
    return [_POSSESSIVE.sub("", word) for word in _WORD.findall(normalise(text))]


def is_unspaced(text: str) -> bool:
    """Return whether a text is of a script that puts no spaces between words."""
    return _UNSPACED.search(text) is not None


def list_forms(word: str) -> Iterator[str]:
    """Yield a word and its forms; the word is normalised."""
    yield word
    if len(word) < _SHORTEST or not word.isalpha():
        return
    for ending in _ENDINGS:
        yield word + ending
    if word.endswith("e"):
        yield from (word[:-1] + ending for ending in ("ed", "ing", "er", "ers"))
    if word.endswith("y") and word[-2] not in _VOWELS:
        yield from (word[:-1] + ending for ending in ("ies", "ied", "ier", "iers"))
    if word[-1] not in f"{_VOWELS}wxy" and word[-2] in _VOWELS and word[-3] not in _VOWELS:
        yield from (word + word[-1] + ending for ending in ("ed", "ing", "er", "ers"))
