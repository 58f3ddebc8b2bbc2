"""Closed vocabularies: which words of a prompt a model has never learnt."""

import re
import unicodedata
from collections.abc import Iterable


def unknown_words(prompts: Iterable[str], vocabulary: Iterable[str]) -> list[str]:
    """Return the words and symbols outside the vocabulary, each once, in order.

    Punctuation separates words and says nothing; a symbol (an emoji, a sign) counts as a word.
    """
    known = {word.lower() for word in vocabulary}
    found = dict.fromkeys(word for prompt in prompts for word in _words(prompt))
    return [word for word in found if word not in known]


def count_words(prompt: str) -> int:
    """Return how many words and symbols a prompt has; 0: it says nothing at all."""
    return len(_words(prompt))


def _words(prompt: str) -> list[str]:
    tokens = re.findall(r"\w+|[^\w\s]", prompt.lower())
    return [
        token
        for token in tokens
        if len(token) > 1 or token.isalnum() or unicodedata.category(token).startswith("S")
    ]
