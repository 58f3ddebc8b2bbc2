"""Answers of bounded size: an agent pays for each character, and what it can keep is small."""

import json
from collections.abc import Iterable
from typing import TypeVar

from media_agent.shorten import shorten_to_line
from media_agent_schemas.base import Schema

LARGEST_ANSWER = 4000  # characters of JSON

View = TypeVar("View", bound=Schema)


def choose_fitting(views: Iterable[View], most: int = LARGEST_ANSWER) -> View:
    """Return the first view that fits; the last one, if none does."""
    for view in views:
        if measure(view) <= most:
            break
    return view


def measure(view: Schema) -> int:
    """Return how many characters an answer has."""
    return len(json.dumps(view.model_dump(mode="json", exclude_none=True)))


def shorten_texts(said: tuple[str, ...], texts: int, length: int) -> tuple[str, ...]:
    """Return so many of the texts, each of at most that length, and how many more there are."""
    shown = tuple(shorten_to_line(each, length) for each in said[:texts])
    more = len(said) - len(shown)
    return (*shown, f"and {more} more") if more else shown
