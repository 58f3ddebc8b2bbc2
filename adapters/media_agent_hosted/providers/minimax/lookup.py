"""Which tasks in the list of MiniMax may be the one whose reply was lost: none is proved to be.

A task has neither a name of ours nor a seed. A prompt, if MiniMax repeats it at all, which its
documents leave open, may be that of another program: it can only speak against a task.
"""

from collections.abc import Iterator

from pydantic import JsonValue

from media_agent_hosted.base import listed
from media_agent_hosted.base.identity import fits_a_path
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.parsing.lenient import number, text, value_at

PATH = "/v2/query/video_generation"
PAGE = 50  # tasks in a page
PAGES = 20  # looked through at most
_TO_SPARE = 60.0  # seconds by which clocks may differ within MiniMax at most
_SAME = ("model", "resolution", "duration", "ratio")


def tasks_in(body: JsonValue) -> list[Fields]:
    """Return the tasks of a page, newest first."""
    items = value_at(body, "items")
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def is_before(task: Fields, since: float | None) -> bool:
    """Whether a task is certainly older than that."""
    return listed.is_before(number(task.get("created_at")), since, _TO_SPARE)


def candidates(tasks: list[Fields], sent: Fields) -> list[str]:
    """Return the ids of the tasks that may be the one that was sent: none is proved to be."""
    return [str(task["id"]) for task in tasks if _may_be(task, sent)]


def _may_be(task: Fields, sent: Fields) -> bool:
    """Whether nothing that a task says speaks against it."""
    name, prompt = text(task.get("id")), _prompt_of(task)
    if name is None or not fits_a_path(name):
        return False
    if prompt is not None and not listed.is_same_text(prompt, _text_of(sent)):
        return False
    pairs = ((task.get(each), sent.get(each)) for each in _SAME)
    return all(said == asked for said, asked in pairs if said is not None and asked is not None)


def _prompt_of(task: Fields) -> str | None:
    return text(value_at(task, "content.prompt")) or None


def _text_of(sent: Fields) -> str:
    return " ".join(_texts(sent.get("content")))


def _texts(content: JsonValue) -> Iterator[str]:
    for each in content if isinstance(content, list) else []:
        if isinstance(each, dict) and isinstance(each.get("text"), str):
            yield str(each["text"])
