"""Images of a workflow that cannot become a video are refused in words."""

import asyncio
import errno
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from av import FFmpegError
from PIL import GifImagePlugin, Image

from media_agent.errors import InvalidRequestError, StorageError, VideoNotFetchedError
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.providers.comfyui import collect
from media_agent_hosted.providers.comfyui.collect import write_as_mp4
from media_agent_hosted.providers.comfyui.outputs import Output, SavedFile

pytestmark = pytest.mark.anyio
_OUTPUT = Output((SavedFile("9", "one.png", "", "output"),))


class _Images(HttpApi):
    """Gives an image, whatever is asked for."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:8188")

    async def download(self, url: str, path: Path, **facts: Any) -> None:
        await asyncio.to_thread(Image.new("RGB", (16, 16)).save, path)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("size", [(9000, 9000), (20_000, 20_000), (20_000, 2), (1, 1), (64, 1)])
def test_an_image_of_no_possible_size_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(b""))
    path = tmp_path / "one.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + _chunk(b"IEND", b""))

    with pytest.raises(VideoNotFetchedError, match="an image of the video cannot be read"):
        write_as_mp4([path], tmp_path / "video.mp4", fps=8)


def test_an_animation_of_too_many_images_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [Image.new("RGB", (16, 16), (20 * shade, 0, 0)) for shade in range(9)]
    images[0].save(tmp_path / "one.gif", save_all=True, append_images=images[1:], duration=60)
    monkeypatch.setattr(collect, "MOST_IMAGES", 5)
    decoded: list[int] = []
    load = GifImagePlugin.GifImageFile.load

    def count(image: Any) -> Any:
        decoded.append(image.tell())
        return load(image)

    monkeypatch.setattr(GifImagePlugin.GifImageFile, "load", count)

    with pytest.raises(VideoNotFetchedError, match="it has more than"):
        write_as_mp4([tmp_path / "one.gif"], tmp_path / "video.mp4", fps=8)

    assert decoded == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FFmpegError(22, "Invalid argument"), VideoNotFetchedError),
        (FFmpegError(errno.ENOSPC, "No space left on device"), StorageError),
        (InvalidRequestError("frames are 1x1"), VideoNotFetchedError),
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_trouble_with_making_the_video_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    def fail(*args: object, **facts: object) -> None:
        raise error

    monkeypatch.setattr(collect, "write_images", fail)
    with pytest.raises(kind):
        await collect.collect(_Images(), _OUTPUT, tmp_path / "video.mp4", fps=8)

    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_no_space_for_the_images_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **facts: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", fail)
    with pytest.raises(StorageError, match=r"video\.mp4 cannot be written"):
        await collect.collect(_Images(), _OUTPUT, tmp_path / "video.mp4", fps=8)
