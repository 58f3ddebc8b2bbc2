"""Answers for an agent on another machine: it gets addresses, and no path of this one."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from pydantic import JsonValue

from media_agent.tools.files import FileKind
from media_agent.wording import hide_paths
from media_agent_schemas.request import VideoRequest

Answer = dict[str, JsonValue]
Address = Callable[[str, FileKind], str]
"""From the id of a job and a kind of its files to what an agent elsewhere knows it by."""

_OWN_WORDS = frozenset({"prompt", "prompts", "negative_prompt"})
_KINDS: dict[str, FileKind] = {
    "video": "video",
    "partial_video": "video",
    "contact_sheet": "contact-sheet",
    "image": "contact-sheet",
    "record": "record",
}


class Admit(Protocol):
    """Checks a request of whoever may be on another machine."""

    def __call__(
        self, request: VideoRequest, *, is_kept: bool
    ) -> AbstractAsyncContextManager[tuple[str, VideoRequest]]:
        """Give the id of a new job, and the request with what it names by addresses brought here.

        What was brought goes at the end if it is not kept, and in any case when an error ends it.
        """
        ...


def address_files(answer: Answer, address: Address) -> Answer:
    """Return an answer with the addresses of its files; the rest names no path of this machine."""
    shown = {name: _hide(name, value) for name, value in answer.items()}
    for name, kind in _KINDS.items():
        if name in shown:
            shown[name] = address(str(answer["job_id"]), kind)
    return shown


def _hide(name: str, value: JsonValue) -> JsonValue:
    match value:
        case str():
            return value if name in _OWN_WORDS else hide_paths(value)
        case list():
            return [_hide(name, each) for each in value]
        case dict():
            return {inner: _hide(inner, each) for inner, each in value.items()}
    return value
