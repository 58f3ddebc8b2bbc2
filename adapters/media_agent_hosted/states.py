"""The words in which services say how far work is: one table for all of them."""

import re
from collections.abc import Mapping
from enum import StrEnum

from pydantic import JsonValue

from media_agent_hosted.lenient import WRAPPERS, text
from media_agent_hosted.replies import trimmed
from media_agent_schemas.events import JobProgressed

POLLS_OF_AN_UNKNOWN_WORD = 3
"""How often a word that is not known here has to be said before it may mean that work is over."""

FILM_MAY_TAKE_SECONDS = 90.0
"""How long a film may not be there yet after its service called it complete."""


class State(StrEnum):
    """How far a piece of work is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_TABLE = {
    State.QUEUED: "queued in_queue enqueued queueing pending submitted starting waiting created "
    "accepted received scheduled not_started initialized initializing preparing prepared new "
    "throttled pre_processing preprocessing",
    State.RUNNING: "processing running in_progress inprogress progress generating working started "
    "active rendering executing ongoing doing dreaming sampling encoding uploading finalizing "
    "post_processing postprocessing",
    State.DONE: "succeeded succeed success successful complete completed done finished finish "
    "ready ok generated available ended published fulfilled downloadable",
    State.FAILED: "failed fail failure error errored expired rejected timeout timed_out moderated "
    "content_moderated request_moderated blocked invalid unsuccessful crashed killed exception "
    "denied refused declined flagged filtered nsfw",
    State.CANCELLED: "cancelled canceled aborted terminated revoked stopped interrupted",
}
_PLACES = ("status", "state", "task_status")
_WORDS = {word: state for state, words in _TABLE.items() for word in words.split()}
_BEFORE = re.compile(
    r"^(?:(?:task|job|run|state|status|request|video|media|generation|prediction|operation)_)+"
)
_AFTER = re.compile(r"_(?:successfully|with_warnings?|ok)$")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def spelled(state: JsonValue) -> str:
    """Return a state as JSON spells it, in small letters: true, 1, null and "" are states too."""
    if isinstance(state, bool):
        return str(state).lower()
    return (text(state) or "").casefold()


def state_of(word: JsonValue) -> State | None:
    """Return what a word of the trade means, however it is spelled; None: it is not known here."""
    plain = re.sub(r"\W+", "_", spelled(_HUMP.sub("_", text(word) or ""))).strip("_")
    plain = _AFTER.sub("", re.sub("_+", "_", plain))
    if plain.startswith(("failed_", "error_")):
        return State.FAILED
    return _WORDS.get(plain) or _WORDS.get(_BEFORE.sub("", plain))


def state_said(said: Mapping[str, JsonValue]) -> str:
    """Return the word for its state that an answer has at one of the usual places, or ""."""
    inside = (said.get(name) for name in WRAPPERS)
    places = (said, *(each for each in inside if isinstance(each, dict)))
    return next(filter(None, (text(each.get(name)) for each in places for name in _PLACES)), "")


def unknown_word(who: str, word: str, fraction: float | None = None) -> JobProgressed:
    """Return what a word means that is not known here: work that goes on, said in a message."""
    said = f"{who} says {trimmed(word)!r}, which is not known here: taken as work that goes on"
    return JobProgressed(phase=trimmed(word) or "unknown", fraction=fraction, message=said)


class Patience:
    """For how long, and how often, the same has been said of a piece of work in this process."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], float] = {}
        self._times: dict[tuple[str, str], int] = {}

    def seconds(self, work: str, what: str, waited: float) -> float:
        """Return for how long this has been said, by what was `waited` for the work so far."""
        return waited - self._first.setdefault((work, what), waited)

    def times(self, work: str, what: str) -> int:
        """Return how often this has been said, this time included."""
        self._times[work, what] = self._times.get((work, what), 0) + 1
        return self._times[work, what]

    def forget(self, work: str) -> None:
        """Begin anew with a piece of work."""
        self._first = {key: value for key, value in self._first.items() if key[0] != work}
        self._times = {key: value for key, value in self._times.items() if key[0] != work}
