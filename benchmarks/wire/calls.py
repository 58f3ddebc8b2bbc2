"""What a simulator saw, written down so that it can be compared: no key, no id, no file in it."""

import json
from collections.abc import Iterable, Mapping
from email import message_from_bytes
from email.policy import HTTP
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from PIL import Image

from benchmarks.wire.intents import KEY, Given
from media_agent.testing import Simulator
from media_agent.testing.simulator.server import Call
from media_agent.testing.simulator.videos import Video, make_video

_FILES = {
    "first_frame.png": "teal",
    "last_frame.png": "maroon",
    "subject.png": "olive",
    "mask.png": "white",
}
_SIZE = (640, 360)
_LARGE = 4_000_000  # bytes; more than some take within a request
_NOISE = 400  # pixels; the image takes half a megabyte
HERE = "https://provider.example"


def write_files(folder: Path) -> Given:
    """Write the files that stand in requests."""
    for name, colour in _FILES.items():
        Image.new("RGB", _SIZE, colour).save(folder / name, "PNG")
    noise = Random(0).randbytes(_NOISE**2 * 3)  # which no compression makes smaller
    Image.frombytes("RGB", (_NOISE, _NOISE), noise).save(folder / "large.png", "PNG")
    video = make_video(Video(frames=48, fps=24.0, width=64, height=36, shade=90))
    (folder / "source_video.mp4").write_bytes(video)
    padding = _LARGE.to_bytes(4, "big") + b"free" + bytes(_LARGE - 8)  # a box that nobody reads
    (folder / "large.mp4").write_bytes(video + padding)
    return Given(folder)


class Writer:
    """Writes calls down as JSON."""

    def __init__(self, simulator: Simulator, given: Given, left_out: Iterable[str]) -> None:
        """Take the patterns of the headers that are left out."""
        self._left_out = tuple(left_out)
        names = (*_FILES, "large.png", "source_video.mp4", "large.mp4")
        files = {name: given.base64(name) for name in names}
        known = {encoded: f"<{name}>" for name, encoded in files.items()}
        self._known = {**known, simulator.url: HERE, KEY: "KEY"}
        self._simulator = simulator
        self._bytes = {given.read(name): f"<{name}>" for name in files}

    def describe(self, call: Call) -> dict[str, Any]:
        """Return a call, comparable."""
        headers = {
            name: self._plain(value)
            for name, value in sorted(call.headers.items())
            if not any(fnmatchcase(name, pattern) for pattern in self._left_out)
        }
        said: dict[str, Any] = {
            "name": call.name,
            "method": call.method,
            "path": self._plain(call.path),
            "query": {name: self._plain(each) for name, each in sorted(call.query.items())},
            "headers": headers,
        }
        kind, _, _ = call.headers.get("content-type", "").partition(";")
        if "content-type" in headers:
            headers["content-type"] = kind
        if call.body:
            said["body"] = self._body(call, kind)
        return said

    def _body(self, call: Call, kind: str) -> Any:
        if kind == "application/json":
            return self._values(json.loads(call.body))
        if kind == "multipart/form-data":
            return self._form(call)
        return self._bytes.get(call.body) or self._plain(call.body.decode("latin-1"))

    def _form(self, call: Call) -> dict[str, Any]:
        """Return a form by the names of its fields."""
        head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
        form: dict[str, Any] = {}
        for part in message_from_bytes(head + call.body, policy=HTTP).iter_parts():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            value = self._bytes.get(content) or self._plain(content.decode("latin-1"))
            about = {"filename": part.get_filename(), "type": part.get("content-type")}
            told = {name: str(each) for name, each in about.items() if each is not None}
            name = str(part.get_param("name", header="content-disposition"))
            form[name] = {"value": value, **told} if told else value
        return form

    def _values(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._values(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._values(each) for each in value]
        return self._plain(value) if isinstance(value, str) else value

    def _plain(self, text: str) -> str:
        for known, said in {**self._known, **self._ids()}.items():
            text = text.replace(known, said)
        return text

    def _ids(self) -> Mapping[str, str]:
        ids = self._simulator.jobs
        return {**{quote(each, safe=""): "ID" for each in ids}, **dict.fromkeys(ids, "ID")}
