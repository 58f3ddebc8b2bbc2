"""Whether a video is all there: cut ones are found, whole ones of every kind pass."""

import fractions
import struct
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pytest

from media_agent.errors import StorageError
from media_agent.ingest.completeness import check_whole, is_video
from media_agent.video.probe import probe

FASTSTART = (("movflags", "+faststart"),)
FRAGMENTED = (("movflags", "frag_keyframe+empty_moov"),)
INDEXED = (("movflags", "dash+global_sidx+frag_keyframe"),)
DASH = (("movflags", "dash+frag_keyframe"),)
SINGLE = (("movflags", "frag_every_frame+empty_moov"),)
SHORT = (("g", "6"),)
OPEN_GROUPS = (("x264-params", "open-gop=1:keyint=6:bframes=2"),)
REFRESHED = (("x264-params", "intra-refresh=1"),)
KINDS = {
    "index first": ("mp4", "libx264", FASTSTART, ()),
    "index last": ("mp4", "libx264", (), ()),
    "reordered frames": ("mp4", "libx264", FASTSTART, (("bf", "3"),)),
    "fragments": ("mp4", "libx264", FRAGMENTED, (("g", "6"),)),
    "fragments with an index": ("mp4", "libx264", INDEXED, SHORT),
    "fragments with indexes": ("mp4", "libx264", DASH, SHORT),
    "a fragment for each frame": ("mp4", "libx264", SINGLE, ()),
    "an open group of images": ("mp4", "libx264", FASTSTART, OPEN_GROUPS),
    "no key frames but the first": ("mp4", "libx264", FASTSTART, REFRESHED),
    "MPEG-4": ("mp4", "mpeg4", FASTSTART, (("bf", "2"),)),
    "VP9 in MP4": ("mp4", "libvpx-vp9", (), ()),
    "WebM as it is recorded": ("webm", "libvpx", (("live", "1"),), ()),
    "QuickTime": ("mov", "libx264", FASTSTART, ()),
    "WebM": ("webm", "libvpx", (), ()),
    "Matroska": ("matroska", "libx264", (), ()),
    "AVI": ("avi", "mpeg4", (), ()),
}
Write = Callable[[bytes], Path]


@lru_cache
def video(kind: str, *, frames: int = 18, uneven: bool = False, sound: bool = False) -> bytes:
    """Return a video of noise, in which every frame has a size worth cutting."""
    with tempfile.TemporaryDirectory() as folder:  # FFmpeg reads it again to move the index
        path = Path(folder, "video")
        _make(path, kind, frames=frames, uneven=uneven, sound=sound)
        return path.read_bytes()


def _make(path: Path, kind: str, *, frames: int, uneven: bool, sound: bool) -> None:
    container, codec, options, tuning = KINDS[kind]
    noise = np.random.default_rng(0)
    with av.open(path, "w", format=container, options=dict(options)) as out:
        stream = out.add_stream(codec, rate=24, options=dict(tuning))
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = fractions.Fraction(1, 72)
        voice = out.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number in range(frames):
            pixels = noise.integers(0, 255, (32, 48, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number * 3 + (number % 3 if uneven else 0)
            frame.time_base = fractions.Fraction(1, 72)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if voice is not None:
            wave = noise.standard_normal((1, 36000)).astype(np.float32) / 9
            heard = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            heard.rate, heard.pts = 48000, 0
            out.mux(voice.encode(heard))
            out.mux(voice.encode(None))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(content: bytes) -> Path:
        path = tmp_path / "video"
        path.write_bytes(content)
        return path

    return written


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_video_of_any_kind_passes(kind: str, write: Write) -> None:
    check_whole(write(video(kind)))


def test_one_with_uneven_times_sound_or_a_single_frame_passes(write: Write) -> None:
    check_whole(write(video("index first", uneven=True)))
    check_whole(write(video("index last", sound=True)))
    check_whole(write(video("index first", frames=1)))


@pytest.mark.parametrize("missing", [1, 15, 300, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_video_of_any_kind_is_found(kind: str, missing: float, write: Write) -> None:
    whole = video(kind)
    kept = len(whole) - int(missing) if missing >= 1 else int(len(whole) * missing)

    with pytest.raises(StorageError, match="cut off"):
        check_whole(write(whole[:kept]))


def test_sound_that_is_cut_off_is_found(write: Write) -> None:
    with pytest.raises(StorageError, match="cut off"):
        check_whole(write(video("index first", sound=True)[:-40]))


def test_a_fragment_without_its_frames_is_found(write: Write) -> None:
    whole = video("fragments")
    last = whole.rindex(b"moof") - 4
    (length,) = struct.unpack(">I", whole[last : last + 4])

    with pytest.raises(StorageError, match="last fragment"):
        check_whole(write(whole[: last + length]))


def test_frames_that_the_index_names_and_no_box_holds_are_found(write: Write) -> None:
    whole = video("index first")
    data = whole.rindex(b"mdat") - 4
    open_end = whole[:data] + struct.pack(">I", 0) + whole[data + 4 :]  # "to the end of the file"

    check_whole(write(open_end))
    with pytest.raises(StorageError, match=r"1 of the 18 frames"):
        check_whole(write(open_end[:-20]))


def test_a_video_of_the_right_size_that_ends_in_zeros_is_found(write: Write) -> None:
    whole = video("index first")

    with pytest.raises(StorageError, match="cannot be decoded"):
        check_whole(write(whole[:-4000] + bytes(4000)))


@pytest.mark.parametrize("kept", [1, 5, 7])
def test_the_mere_beginning_of_another_fragment_is_found(kept: int, write: Write) -> None:
    whole = video("fragments")

    with pytest.raises(StorageError, match="its last part is incomplete"):
        check_whole(write(whole[: whole.rindex(b"moof") - 4 + kept]))


@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("kind", ["fragments with an index", "fragments with indexes"])
def test_a_fragment_that_only_the_index_names_is_found(
    kind: str, sound: bool, write: Write
) -> None:
    whole = video(kind, sound=sound)

    check_whole(write(whole))
    with pytest.raises(StorageError, match="cut off: a fragment that its index names"):
        check_whole(write(whole[: whole.rindex(b"moof") - 4]))


@pytest.mark.parametrize("what", [b"VideoHandler", b"Lavf"])
def test_tags_in_any_encoding_are_no_damage(what: bytes, write: Write) -> None:
    path = write(video("index first").replace(what, what[:-1] + b"\xff"))

    check_whole(path)
    assert probe(path).frames == 18


def test_an_unknown_codec_is_said(write: Write) -> None:
    path = write(video("index first").replace(b"avc1", b"xyz1"))

    for look in (check_whole, probe):
        with pytest.raises(StorageError, match="unknown codec"):
            look(path)


@pytest.mark.parametrize("tail", [bytes(100), b"\xff\xd8 what somebody put behind it", b"\0\0\0"])
def test_an_odd_tail_is_no_cut(tail: bytes, write: Write) -> None:
    check_whole(write(video("index first") + tail))


@pytest.mark.parametrize("head", [b"<html>", b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b'{"a": 1}'])
def test_what_is_no_video_is_known_by_its_first_bytes(head: bytes) -> None:
    assert not is_video(head)


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_is_known_by_its_first_bytes(kind: str) -> None:
    assert is_video(video(kind)[:16])
