"""Videos that random changes made odd: each is refused in words, by whoever reads it."""

import errno
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from media_agent.errors import InvalidRequestError, MediaAgentError, StorageError
from media_agent.ingest.extend import join_source
from media_agent.ingest.file_parts import HostileError
from media_agent.ingest.read import check_video, measure_video
from media_agent.ingest.source import _open_container
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.codec import encode_chunk
from media_agent.video.concat import join_videos
from media_agent.video.contact_sheet import write_contact_sheet
from media_agent.video.images import shrink_png
from media_agent.video.mp4.fragments import cut_fragment, find_cuts
from media_agent.video.probe import probe


def rename_codec(folder: Path, codec: bytes) -> Path:
    """Return a video whose header says another codec than its frames have."""
    content = make_video(Video(frames=4))
    place = content.index(b"stsd") + 16
    path = folder / f"{codec.decode()}.mp4"
    path.write_bytes(content[:place] + codec + content[place + 4 :])
    return path


@pytest.mark.parametrize(
    ("codec", "read", "error", "said"),
    [
        (b"xxxx", check_video, InvalidRequestError, "unknown codec"),
        (b"xxxx", probe, StorageError, "unknown codec"),
        (b"h263", check_video, InvalidRequestError, "it is damaged"),
        (b"h263", probe, StorageError, "its header is damaged"),
        (b"h263", lambda path: cut_fragment(path, find_cuts(path), 0), StorageError, "h263"),
        (b"h263", lambda path: join_videos([path], path), MediaAgentError, "h263"),
    ],
    ids=["unknown", "unknown, probed", "no size", "no size, probed", "cut", "joined"],
)
def test_a_header_of_another_codec_is_refused_in_words(
    tmp_path: Path,
    codec: bytes,
    read: Callable[[Path], object],
    error: type[MediaAgentError],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        read(rename_codec(tmp_path, codec))


def test_a_video_narrower_than_any_that_can_be_made_is_refused_with_its_size() -> None:
    narrow = encode_chunk(np.zeros((2, 32, 4, 3), np.uint8), fps=8)

    with pytest.raises(InvalidRequestError, match="its size is 4x32") as error:
        measure_video(narrow)

    assert error.value.hint == "sides of 16 to 8192 pixels can be used"


def test_a_continuation_of_any_size_is_put_behind_its_source(tmp_path: Path) -> None:
    source, part = tmp_path / "source.mp4", tmp_path / "part.mp4"
    source.write_bytes(make_video(Video(4, 8.0, 32, 32)))
    part.write_bytes(encode_chunk(np.zeros((2, 32, 4, 3), np.uint8), fps=8))

    joined = join_source(source, part, tmp_path / "out.mp4")

    assert str(joined.scaled_from) == "16x32"  # the least that a record can say
    assert probe(tmp_path / "out.mp4").frames == 6


def test_rates_that_would_repeat_a_frame_without_end_are_refused(tmp_path: Path) -> None:
    fast, slow = tmp_path / "fast.mp4", tmp_path / "slow.mp4"
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    fast.write_bytes(encode_chunk(frames, fps=1000))
    slow.write_bytes(encode_chunk(frames, fps=1))

    with pytest.raises(StorageError, match="their frames a second are 1000, 1"):
        join_videos([fast, slow], tmp_path / "out.mp4")
    join_videos([slow, fast], tmp_path / "out.mp4")

    assert probe(tmp_path / "out.mp4").frames == 2  # two seconds, and a moment


def test_a_video_without_frames_has_no_contact_sheet(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    content = make_video(Video(frames=4))
    samples = content.index(b"stsz") + 12
    path.write_bytes(content[:samples] + bytes(4) + content[samples + 4 :])

    with pytest.raises(StorageError, match="it has no frames"):
        write_contact_sheet(path, tmp_path / "a.png")


def test_an_image_of_sound_alone_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(
        b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
    )

    with pytest.raises(StorageError, match="is damaged"):
        shrink_png(path, 8)


class Odd(io.BytesIO):
    """A file in which a damaged header led to a place before its beginning."""

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if place:
            raise OSError(errno.EINVAL, "Invalid argument")
        return super().seek(place, whence)


def test_a_place_that_no_file_has_is_damage() -> None:
    with pytest.raises(HostileError, match="a place outside of itself"):
        _open_container(Odd(make_video(Video(frames=4))), {})
