"""Names of codecs are those that FFmpeg itself writes into a playlist."""

import re
from fractions import Fraction
from pathlib import Path

import av
import pytest

from media_agent.video.mp4.codec_names import name_codec

ENCODERS = [("libx264", "yuv420p"), ("libx264", "yuv444p")]
ENCODERS += [("libsvtav1", "yuv420p"), ("libsvtav1", "yuv420p10le")]


def write(path: Path, encoder: str, pixels: str, kind: str) -> None:
    with av.open(str(path), "w", format=kind) as target:
        video = target.add_stream(encoder, rate=24)
        video.width, video.height, video.pix_fmt = 128, 64, pixels
        audio = target.add_stream("aac", rate=48_000)
        for number in range(3):
            frame = av.VideoFrame(128, 64, pixels)
            _clear(frame)
            frame.pts, frame.time_base = number, Fraction(1, 24)
            target.mux(video.encode(frame))
        sound = av.AudioFrame("fltp", "stereo", 1024)
        _clear(sound)
        sound.sample_rate, sound.pts = 48_000, 0
        for stream, last in ((video, None), (audio, sound), (audio, None)):
            target.mux(stream.encode(last))


def _clear(frame: av.VideoFrame | av.AudioFrame) -> None:
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))


@pytest.mark.parametrize(("encoder", "pixels"), ENCODERS)
def test_a_codec_is_named_as_ffmpeg_names_it(tmp_path: Path, encoder: str, pixels: str) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {encoder}")
    write(tmp_path / "a.mpd", encoder, pixels, "dash")
    write(tmp_path / "a.mp4", encoder, pixels, "mp4")

    with av.open(str(tmp_path / "a.mp4")) as video:
        contexts = [each.codec_context for each in video.streams]
        names = [
            name_codec(each.codec.canonical_name, each.extradata or b"", each.codec_tag)
            for each in contexts
        ]

    assert re.findall(r'codecs="(.*?)"', (tmp_path / "a.mpd").read_text()) == names


@pytest.mark.parametrize(
    ("config", "name"),  # as Apple's guides and those of Android have them
    [
        ("0101600000009000000000005d", "hvc1.1.6.L93.90"),
        ("012220000000b0000000000099", "hvc1.2.4.H153.B0"),
    ],
)
def test_hevc_is_named_as_players_know_it(config: str, name: str) -> None:
    assert name_codec("hevc", bytes.fromhex(config)) == name
    assert name_codec("hevc", bytes.fromhex(config), "hev1") == name.replace("hvc1", "hev1")


@pytest.mark.parametrize(
    ("codec", "config"), [("h264", b""), ("hevc", b"\1"), ("av1", b"x"), ("prores", b"")]
)
def test_what_is_not_known_or_not_whole_has_no_name(codec: str, config: bytes) -> None:
    assert name_codec(codec, config) is None
