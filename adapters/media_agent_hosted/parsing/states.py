"""The words in which services say how far work is: one table for all of them."""

import re
from collections.abc import Mapping
from enum import StrEnum

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import (
    STATES,
    WRAPPERS,
    is_envelope,
    space_words,
    text,
    trim,
)
from media_agent_schemas.events import JobProgressed


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
    "throttled pre_processing preprocessing 排队 排队中 等待中 已提交",
    State.RUNNING: "processing running in_progress inprogress progress generating working started "
    "active rendering executing ongoing doing dreaming sampling encoding uploading finalizing "
    "post_processing postprocessing 处理中 生成中 进行中 运行中",
    State.DONE: "succeeded succeed success successful complete completed done finished finish "
    "fulfilled processed rendered uploaded 成功 完成 已完成 生成成功 任务成功 处理成功",
    State.FAILED: "failed fail failure error errored expired rejected timeout timed_out moderated "
    "content_moderated request_moderated unsuccessful crashed killed denied refused declined nsfw "
    "blocked not_found 失败 已失败 生成失败 任务失败 处理失败",
    State.CANCELLED: "cancelled canceled aborted terminated revoked 已取消",
}
_PERHAPS_DONE = (
    "ready",
    "ok",
    "generated",
    "available",
    "ended",
    "published",
    "downloadable",
    "delivered",
    "exported",
    "saved",
)
"""Words that may as well be said of what is still to be made."""
_WORDS = {word: state for state, words in _TABLE.items() for word in words.split()}
_BEFORE = re.compile(
    r"^(?:(?:task|job|run|state|status|request|video|media|generation|prediction|operation)_)+"
)
_AFTER = re.compile(r"_(?:successfully|with_(?:warnings?|(?:some_)?errors?)|ok|100(?:_percent)?)$")
_IN_PART = re.compile(r"^partial(?:ly)?_(?=succe|complete|finish)")
_FAILED_AFTER = re.compile(
    r"^(?!(?:not|no|non|never|without|ignor\w*|retry\w*|recover\w*|partial\w*)_)\w+"
    r"_(?:failed|failure|error)$"
)
"""Words for what failed, such as "render_failed"."""
_PERHAPS_FAILED = ("incomplete", "not_completed", "stopped", "interrupted")
"""Words that mean a failure where an error stands beside them."""


def spell(state: JsonValue) -> str:
    """Return a state as JSON spells it, in small letters: true, 1, null and "" are states too."""
    if isinstance(state, bool):
        return str(state).lower()
    return (text(state) or "").casefold()


def state_of(word: JsonValue) -> State | None:
    """Return what a word of the trade plainly means, however it is spelled; None: it is unknown."""
    plain = _plain(word)
    found = _WORDS.get(plain) or _WORDS.get(_core(plain))
    is_failure = plain.startswith(("failed_", "error_")) or _FAILED_AFTER.search(plain)
    return State.FAILED if found is None and is_failure else found


def state_beside(word: JsonValue, *, has_error: bool) -> State | None:
    """Return what a word means that stands beside an error, or beside none."""
    is_failure = has_error and _core(_plain(word)) in _PERHAPS_FAILED
    return State.FAILED if is_failure else state_of(word)


def may_be_done(word: JsonValue) -> bool:
    """Whether a word that is not plain may mean that a video is there."""
    return _core(_plain(word)) in _PERHAPS_DONE


def state_said(said: Mapping[str, JsonValue]) -> str:
    """Return the word for its state that an answer has at one of the usual places, or "".

    A word that may be said of the answer alone counts where no other is known.
    """
    inside = (said.get(name) for name in WRAPPERS)
    places = (said, *(each for each in inside if isinstance(each, dict)))
    words = [word for each in places for name in STATES if (word := text(each.get(name)))]
    if words and is_envelope(words[0]):
        return next((word for word in words[1:] if state_of(word) is not None), words[0])
    return words[0] if words else ""


def unknown_word(who: str, word: str, fraction: float | None = None) -> JobProgressed:
    """Return what a word means that is not known here: work in progress, with a message."""
    said = f"{who} says {trim(word)!r}, which is not known here: taken as work in progress"
    return JobProgressed(phase=trim(word) or "unknown", fraction=fraction, message=said)


def _plain(word: JsonValue) -> str:
    return _AFTER.sub("", space_words(text(word) or "").replace(" ", "_"))


def _core(plain: str) -> str:
    """Return a word without what it is said of, and of how much of that."""
    return _IN_PART.sub("", _BEFORE.sub("", plain))
