"""What goes along inside a request that costs money: looked at before it is sent."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest

from media_agent.errors import InvalidRequestError
from media_agent_hosted.http.inputs import address_of
from media_agent_schemas.media import InputRole, MediaInput


def video(kind: str = "mp4", **options: str) -> bytes:
    folder = TemporaryDirectory()  # a video that starts at once is written twice
    path = Path(folder.name) / "video"
    noise = np.random.default_rng(1)
    with av.open(str(path), "w", kind, options=options) as container:
        codec = "libvpx-vp9" if kind == "webm" else "libx264"
        stream: Any = container.add_stream(codec, 24, {"g": "12", "deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for _ in range(72):
            pixels = noise.integers(0, 255, (32, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))
    with folder:
        return path.read_bytes()


FAST = video(movflags="+faststart")
FRAGMENTED = video(movflags="frag_keyframe+empty_moov")
WEBM = video("webm")


def sent(content: bytes) -> str:
    return address_of(MediaInput(role=InputRole.SOURCE_VIDEO, data=content))[:20]


@pytest.mark.parametrize(
    "whole", [video(), FAST, FRAGMENTED, WEBM], ids=["mp4", "fast", "f", "webm"]
)
def test_a_whole_video_goes_along(whole: bytes) -> None:
    assert sent(whole).startswith("data:video/")


@pytest.mark.parametrize(
    "content",
    [
        video()[: len(video()) // 2],
        FAST[: len(FAST) // 2],
        FAST[:-9],
        FRAGMENTED[: len(FRAGMENTED) // 2],
        WEBM[: len(WEBM) // 2],
        FAST.replace(b"moov", b"moox"),
        FAST[:40] + bytes(3000),
        FAST[:40] + np.random.default_rng(0).bytes(3000),
        FAST[: FAST.index(b"mdat") + 4] + np.random.default_rng(0).bytes(len(FAST)),
        WEBM[:4] + bytes(500),
    ],
    ids=["no index", "half", "9 bytes", "half fragmented", "half webm", "moox", "zeros", "noise",
         "noise as pixels", "webm of zeros"],
)  # fmt: skip
def test_a_video_that_is_not_whole_is_not_sent(content: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="source_video cannot be used"):
        sent(content)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.png")

    with pytest.raises(
        InvalidRequestError, match=r"p\.png cannot be used: it is not a regular file"
    ):
        address_of(MediaInput(role=InputRole.FIRST_FRAME, path=str(tmp_path / "p.png")))
