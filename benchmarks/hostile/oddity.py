"""What an oddity is, and what it makes of the end that the protocol promises."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from exchange import Exchange


class Verdict(IntEnum):
    """What must be true at the end, from the protocol's view; of several the highest holds."""

    DELIVERED = 0  # id, state and video can be read in the end: it is there, with the right digest
    ENDS = 1  # some end, with words
    PAID = 2  # accepted, and nobody said that it failed: delivered, or unknown; never failed
    NEVER = 3  # as PAID, and the video never comes whole: never completed
    FAILED = 4  # the provider said so, in words that are shown
    REFUSED = 5  # the same, before it accepted anything
    REFUSED_BARE = 6  # refused without words of its own
    LOST = 7  # the reply to the submission: delivered where a list shows our prompt, else PAID


@dataclass(frozen=True, slots=True)
class Oddity:
    """One way to be odd; `variants` are values, of which a case draws one."""

    name: str
    slot: str  # a case has one oddity of each slot at most
    act: Callable[[Exchange, Any], None]
    variants: tuple[Any, ...] = (None,)
    verdict: Verdict = Verdict.DELIVERED
    kinds: tuple[str, ...] = ("fal", "openai", "http")
    flavour: str | None = None


SLOTS = ("id", "submit", "course", "list", "video", "fields", "address", "echo", "bytes", "headers")
"""The order in which they act."""
