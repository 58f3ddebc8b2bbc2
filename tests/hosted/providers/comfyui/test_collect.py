"""Images of a workflow that cannot become a video are refused in words."""

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import GifImagePlugin, Image

from media_agent.errors import VideoNotFetchedError
from media_agent_hosted.providers.comfyui import collect
from media_agent_hosted.providers.comfyui.collect import write_as_mp4


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [9000, 20_000])
def test_an_image_that_is_too_large_is_refused(tmp_path: Path, side: int) -> None:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
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
