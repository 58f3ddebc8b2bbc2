"""Videos within an answer: decoded while it comes, in memory that does not grow with them."""

import asyncio
import base64
import json
import textwrap
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from media_agent.errors import BackendResponseError
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.unpack import Unpacker

VIDEO = bytes(4) + b"ftypmp42" + bytes(range(256)) * 100
ENCODED = base64.b64encode(VIDEO).decode()


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("size", [1_000_000, 65_536, 4093, 97])
@pytest.mark.parametrize("form", ["plain", "data", "escaped", "lines", "urlsafe"])
def test_a_video_goes_to_a_file_and_the_rest_is_kept(tmp_path: Path, size: int, form: str) -> None:
    text = json.dumps({"a": 'x"\\y', "v": ENCODED, "w": ["ü", ENCODED], "z": 1})
    match form:
        case "data":
            text = text.replace(ENCODED, f"data:video/mp4;base64,{ENCODED}")
        case "escaped":
            text = text.replace("/", "\\/")
        case "lines":
            text = text.replace(ENCODED, "\\n".join(textwrap.wrap(ENCODED, 64)))
        case "urlsafe":
            text = text.replace(ENCODED, ENCODED.translate(str.maketrans("+/", "-_")).rstrip("="))
    unpacker = Unpacker(tmp_path / "video.mp4")

    kept = json.loads(b"".join(map(unpacker.feed, pieces(text.encode(), size))))

    files = [unpacker.files[kept["v"]], unpacker.files[kept["w"][1]]]
    assert [each.read_bytes() for each in files] == [VIDEO, VIDEO]
    assert [each.name for each in files] == ["video.mp4", "video-2.mp4"]
    assert (kept["a"], kept["w"][0], kept["z"]) == ('x"\\y', "ü", 1)


@pytest.mark.parametrize("text", ["A" * 100_000 + "!", "AAAA" * 30_000 + "\\u0041"])
def test_what_is_no_base64_is_refused_and_leaves_no_file(tmp_path: Path, text: str) -> None:
    unpacker = Unpacker(tmp_path / "video.mp4")

    with pytest.raises(ValueError, match=r"\w"):
        unpacker.feed(f'{{"v": "{text}"}}'.encode())
    unpacker.abort()

    assert list(tmp_path.iterdir()) == []


def test_a_short_or_other_text_stays(tmp_path: Path) -> None:
    text = json.dumps({"log": "line\n" * 50_000, "v": ENCODED[:1000]}).encode()
    unpacker = Unpacker(tmp_path / "video.mp4")

    assert unpacker.feed(text) == text
    assert unpacker.files == {}


class Large(httpx.AsyncByteStream):
    """An answer with a large video in it."""

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        block = base64.b64encode(bytes(48 * 1024))
        yield b'{"name": "w1", "video": "'
        for _ in range(self._blocks):
            yield block
        yield b'"}'


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    blocks = 40 * 10**6 // (48 * 1024)

    async def ask() -> int:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Large(blocks)))
        api = HttpApi("https://api.example/v1", transport=transport)
        reply = await api.send("GET", "/w1", unpack_to=tmp_path / "video.mp4")
        [path] = reply.files.values()
        return path.stat().st_size

    tracemalloc.start()
    size = asyncio.run(ask())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size == blocks * 48 * 1024
    assert peak < 4 * 2**20


def test_a_broken_video_is_an_answer_without_sense(tmp_path: Path) -> None:
    body = b'{"video": "' + b"AAAA" * 30_000 + b'!!"}'
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    api = HttpApi("https://api.example/v1", transport=transport)

    with pytest.raises(BackendResponseError):
        asyncio.run(api.send("GET", "/w1", unpack_to=tmp_path / "video.mp4"))

    assert list(tmp_path.iterdir()) == []
