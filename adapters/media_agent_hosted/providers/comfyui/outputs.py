"""Finds the video among the files that the nodes of a workflow saved; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlencode

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import text

_VIDEOS = frozenset({".mp4", ".webm", ".mov", ".mkv", ".m4v"})
_ANIMATIONS = frozenset({".gif", ".webp", ".apng"})
_IMAGES = frozenset({".png", ".jpg", ".jpeg"})
MOST_IMAGES = 10_000


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file on the server, by the node that saved it."""

    node: str
    name: str
    subfolder: str
    folder: str
    """"output", or "temp" for a preview."""

    @property
    def path(self) -> str:
        """The path that gives the file."""
        query = {"filename": self.name, "subfolder": self.subfolder, "type": self.folder}
        return f"/view?{urlencode(query)}"

    @property
    def suffix(self) -> str:
        """The end of its name, which says what kind of file it is."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True, slots=True)
class Output:
    """What makes the video: one file, or the images of a sequence in their order."""

    files: tuple[SavedFile, ...]
    others: tuple[str, ...] = ()
    """Nodes that saved a video as well."""

    @property
    def is_video(self) -> bool:
        """Whether it is a video already."""
        return self.files[0].suffix in _VIDEOS


def find_output(outputs: Mapping[str, JsonValue], node: str | None) -> Output | None:
    """Return the video of a workflow, of the node that is named or else of the likeliest.

    A saved file counts more than a preview, a video more than an animation, that more than images.
    """
    files = [
        file
        for name, value in outputs.items()
        if node in (None, name)
        for file in _files(name, value)
    ]
    for folder in ("output", "temp"):
        here = [file for file in files if (file.folder == "temp") == (folder == "temp")]
        for kind in (_VIDEOS, _ANIMATIONS):
            found = [file for file in here if file.suffix in kind]
            if found:
                others = {file.node for file in found if file.node != found[-1].node}
                return Output((found[-1],), tuple(sorted(others)))
        images = [file for file in here if file.suffix in _IMAGES]
        if images:
            last = images[-1].node
            return Output(tuple(file for file in images if file.node == last)[:MOST_IMAGES])
    return None


def _files(node: str, value: JsonValue) -> Iterator[SavedFile]:
    """Yield the files in what a node gave, whatever the list is called that they are in."""
    for entries in value.values() if isinstance(value, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            name = text(entry.get("filename")) if isinstance(entry, dict) else None
            if isinstance(entry, dict) and name is not None:
                subfolder, folder = text(entry.get("subfolder")), text(entry.get("type"))
                yield SavedFile(node, name, subfolder or "", folder or "output")
