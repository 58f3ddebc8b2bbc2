"""Answers for an agent on another machine: it gets addresses, and no path of this one."""

from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue

from media_agent.tools.files import FileKind

Answer = dict[str, JsonValue]
Address = Callable[[str, FileKind], str]
"""From the id of a job and a kind of its files to what an agent elsewhere knows it by."""

_KINDS: dict[str, FileKind] = {
    "video": "video",
    "partial_video": "video",
    "contact_sheet": "contact-sheet",
    "image": "contact-sheet",
    "record": "record",
}


def address_files(answer: Answer, address: Address, folder: Path) -> Answer:
    """Return an answer with the addresses of its files; the rest does not name the data folder."""
    shown = {name: _hide(value, str(folder)) for name, value in answer.items()}
    for name, kind in _KINDS.items():
        if name in shown:
            shown[name] = address(str(answer["job_id"]), kind)
    return shown


def _hide(value: JsonValue, folder: str) -> JsonValue:
    match value:
        case str():
            return value.replace(folder, "DATA")
        case list():
            return [_hide(each, folder) for each in value]
        case dict():
            return {name: _hide(each, folder) for name, each in value.items()}
    return value
