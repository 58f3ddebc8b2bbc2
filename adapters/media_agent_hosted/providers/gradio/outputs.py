"""Finds the video in what an endpoint of a Gradio app gave; pure."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import quote

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import text

_VIDEOS = (".mp4", ".webm", ".mov", ".mkv", ".m4v")


def find_video(
    result: JsonValue | tuple[JsonValue, ...], output: int | None, files_url: str
) -> str | None:
    """Return the address of the video, of this output or of the first that has one.

    The app's own address is made from the path of the file: the one that it says itself is wrong
    where the app does not know what stands before it.
    """
    outputs = list(result) if isinstance(result, tuple) else [result]
    if output is not None:
        outputs = outputs[output : output + 1]
    found = [each for value in outputs for each in _files(value)]
    videos = [each for each in found if _is_video(each)]
    if not videos and output is None:
        return None
    best = next(iter(videos or found), None)
    return None if best is None else _address(best, files_url)


def _files(value: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Yield the files in a value, such as {"path": ..., "url": ...}, at whatever depth."""
    if isinstance(value, list):
        for each in value:
            yield from _files(each)
    elif isinstance(value, dict):
        if text(value.get("path")) or text(value.get("url")):
            yield value
        else:
            for each in value.values():
                yield from _files(each)


def _is_video(file: dict[str, JsonValue]) -> bool:
    kind = text(file.get("mime_type")) or ""
    names = (text(file.get(name)) or "" for name in ("orig_name", "path", "url"))
    ends = (PurePosixPath(name.partition("?")[0]).suffix.lower() for name in names)
    return kind.startswith("video/") or any(end in _VIDEOS for end in ends)


def _address(file: dict[str, JsonValue], files_url: str) -> str | None:
    path = text(file.get("path"))
    if path is None or path.startswith(("https://", "http://")):
        return path or text(file.get("url"))
    return f"{files_url}{quote(path, safe='/:')}"
