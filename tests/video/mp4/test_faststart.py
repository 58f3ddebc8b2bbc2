"""An index behind the frames is moved in front of them, and nothing else changes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from media_agent.video.codec import read_frames
from media_agent.video.mp4.faststart import has_index_in_front, move_index
from media_agent.video.probe import probe


def video(
    path: Path,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    tag: str | None = None,
    sound: str | None = None,
    turned: int = 0,
    words: bool = False,
    movflags: str = "",
) -> Path:
    """Write an MP4 whose index is behind its frames, unless `movflags` say otherwise."""
    with av.open(str(path), "w", "mp4", options={"movflags": movflags} if movflags else {}) as out:
        out.metadata["title"] = "a fox"
        options = {"bf": "2"} if codec == "libx264" else {"x265-params": "log-level=none"}
        stream: Any = out.add_stream(codec, 24, options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pixels
        if tag is not None:
            stream.codec_context.codec_tag = tag
        if turned:
            stream.set_display_rotation(turned)
        audio: Any = None if sound is None else out.add_stream(sound, 48000)
        text: Any = out.add_mux_stream("mov_text") if words else None
        for number in range(24):
            shade = np.full((96, 128, 3), 9 * number, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shade).reformat(format=pixels)))
        out.mux(stream.encode(None))
        for number in range(40 if sound else 0):
            tone = np.sin(np.arange(1024) / 9 + number).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 1024 * number
            frame.time_base = Fraction(1, 48000)
            out.mux(audio.encode(frame))
        if audio is not None:
            out.mux(audio.encode(None))
        if text is not None:
            packet: Any = av.Packet(b"\0\5hello")
            packet.pts = packet.dts = 0
            packet.duration, packet.time_base, packet.stream = 500, Fraction(1, 1000), text
            out.mux(packet)
    return path


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sound": "aac"},
        {"turned": 90},
        {"pixels": "yuv444p"},
        {"codec": "libx265", "tag": "hev1"},
    ],
    ids=str,
)
def test_the_index_comes_in_front_and_all_else_stays(tmp_path: Path, how: Any) -> None:
    source = video(tmp_path / "a.mp4", **how)
    target = tmp_path / "b.mp4"
    assert not has_index_in_front(source)

    assert move_index(source, target)

    assert has_index_in_front(target)
    old, new = (probe(path).model_copy(update={"size_bytes": None}) for path in (source, target))
    assert old == new
    assert new.has_audio == ("sound" in how)
    assert np.array_equal(read_frames(source), read_frames(target))
    with av.open(str(target)) as moved:
        assert moved.metadata["title"] == "a fox"


@pytest.mark.parametrize("movflags", ["faststart", "frag_keyframe+empty_moov"])
def test_an_index_in_front_is_seen(tmp_path: Path, movflags: str) -> None:
    assert has_index_in_front(video(tmp_path / "a.mp4", movflags=movflags))


def test_what_is_no_mp4_has_no_index_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\x1aE\xdf\xa3" + bytes(90))

    assert has_index_in_front(path)


def test_a_signed_video_and_one_with_subtitles_stay_as_they_are(tmp_path: Path) -> None:
    target = tmp_path / "b.mp4"
    signed = video(tmp_path / "a.mp4")
    signed.write_bytes(signed.read_bytes() + b"\0\0\0\x20uuid" + bytes(24))

    assert not move_index(signed, target)
    assert not move_index(video(tmp_path / "c.mp4", words=True), target)
    assert not target.exists()


def test_a_broken_video_stays_as_it_is(tmp_path: Path) -> None:
    source = video(tmp_path / "a.mp4")
    source.write_bytes(source.read_bytes()[:-500])  # half of the index is gone

    assert not move_index(source, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
