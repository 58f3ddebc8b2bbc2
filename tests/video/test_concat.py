"""Videos one after the other: no frame lost, none doubled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.testing.simulator.videos import write_video
from media_agent.video.audio import SAMPLE_RATE, Audio, add_audio, fit_audio, to_pcm
from media_agent.video.codec import read_frames, to_frame_rate
from media_agent.video.concat import can_copy, join_videos
from media_agent.video.container import open_new_mp4, open_video
from media_agent.video.probe import probe

Frames = NDArray[Any]


def video(folder: Path, name: str, levels: range, *, size: int = 32, fps: float = 8.0) -> Path:
    """Write a video with one flat gray per frame: level n is gray 20 n."""
    path = folder / f"{name}.mp4"
    write_video(path, grays(levels, size), fps=fps)
    return path


def grays(levels: range, size: int = 32) -> Frames:
    return np.stack([np.full((size, size, 3), 20 * level, np.uint8) for level in levels])


def levels_of(path: Path) -> list[int]:
    return [round(float(frame.mean()) / 20) for frame in read_frames(path)]


def test_the_shared_frame_is_shown_once_and_nothing_is_encoded_again(tmp_path: Path) -> None:
    parts = [video(tmp_path, "a", range(0, 5)), video(tmp_path, "b", range(4, 8))]

    joined = join_videos(parts, tmp_path / "whole.mp4", shared=1)

    assert not joined.encoded_again
    assert joined.frames == 8
    assert levels_of(joined.path) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert probe(joined.path).frames == 8
    assert probe(joined.path).duration == pytest.approx(1.0)


def test_many_parts_keep_their_times(tmp_path: Path) -> None:
    parts = [video(tmp_path, str(part), range(part, part + 3)) for part in range(0, 9, 2)]

    joined = join_videos(parts, tmp_path / "whole.mp4", shared=1)

    assert levels_of(joined.path) == list(range(11))
    assert probe(joined.path).fps == 8.0


def test_without_a_shared_frame_every_frame_stays(tmp_path: Path) -> None:
    parts = [video(tmp_path, "a", range(0, 3)), video(tmp_path, "b", range(3, 6))]

    joined = join_videos(parts, tmp_path / "whole.mp4")

    assert levels_of(joined.path) == [0, 1, 2, 3, 4, 5]


def test_another_size_is_brought_to_that_of_the_first(tmp_path: Path) -> None:
    parts = [video(tmp_path, "a", range(0, 4)), video(tmp_path, "b", range(3, 6), size=64)]

    joined = join_videos(parts, tmp_path / "whole.mp4", shared=1)

    assert joined.encoded_again
    assert levels_of(joined.path) == [0, 1, 2, 3, 4, 5]
    assert (probe(joined.path).width, probe(joined.path).height) == (32, 32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "whole.mp4"]


def test_another_rate_keeps_its_speed(tmp_path: Path) -> None:
    parts = [video(tmp_path, "a", range(0, 2)), video(tmp_path, "b", range(2, 6), fps=16.0)]

    joined = join_videos(parts, tmp_path / "whole.mp4")

    assert joined.encoded_again
    assert joined.frames == 4
    assert probe(joined.path).duration == pytest.approx(0.5)
    assert levels_of(joined.path) == [0, 1, 2, 4]


def test_images_that_others_lean_on_are_never_cut_out(tmp_path: Path) -> None:
    first = tmp_path / "reordered.mp4"
    write_with_b_frames(first, grays(range(0, 7)))
    second = video(tmp_path, "b", range(6, 9))

    joined = join_videos([first, second], tmp_path / "whole.mp4", shared=1)

    assert joined.encoded_again
    assert levels_of(joined.path) == list(range(9))


def test_a_gap_that_the_rate_does_not_show_keeps_no_times_from_moving_on(tmp_path: Path) -> None:
    first = tmp_path / "gap.mp4"
    write_with_gap(first, video(tmp_path, "a", range(0, 5)))
    second = video(tmp_path, "b", range(5, 8))

    joined = join_videos([first, second], tmp_path / "whole.mp4")

    assert probe(first).fps == 8.0
    assert not can_copy([first, second])
    assert joined.encoded_again
    assert levels_of(joined.path) == list(range(8))


def write_with_gap(path: Path, source: Path) -> None:
    """Write five frames with a gap before the last, which is shown for no time at all."""
    with open_video(source) as video, open_new_mp4(path) as container:
        stream = container.add_stream_from_template(video.streams.video[0])
        for packet in video.demux(video.streams.video[0]):
            if packet.pts is not None and packet.duration is not None:
                gap = packet.duration if packet.pts == 4 * packet.duration else 0
                packet.pts += gap
                packet.dts = packet.pts
                packet.stream = stream
                container.mux(packet)
    content = bytearray(path.read_bytes())
    lengths = content.index(b"stts") + 8
    end = lengths + 4 + 8 * int.from_bytes(content[lengths : lengths + 4])
    content[end - 4 : end] = bytes(4)
    path.write_bytes(content)


@pytest.mark.parametrize("size", [32, 64])
def test_audio_stays_with_the_frames_of_its_part(tmp_path: Path, size: int) -> None:
    parts = [
        loud_video(tmp_path, "a", range(0, 4), heard=0.25, fps=4.0),
        video(tmp_path, "b", range(3, 8), size=size, fps=4.0),
        loud_video(tmp_path, "c", range(7, 12), heard=0.75, fps=4.0),
    ]

    joined = join_videos(parts, tmp_path / "whole.mp4", shared=1)

    assert joined.encoded_again is (size != 32)
    assert levels_of(joined.path) == list(range(12))
    assert probe(joined.path).has_audio
    samples = read_samples(joined.path)
    assert count_samples_in(joined.path) == 3 * SAMPLE_RATE
    borders = [0, 3, 7, 12]
    for start, end, loudness in zip(borders, borders[1:], (0.25, 0.0, 0.75), strict=False):
        own = samples[start * SAMPLE_RATE // 4 : end * SAMPLE_RATE // 4][2048:-2048]
        assert own.mean() == pytest.approx(loudness, abs=0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.mp4",
        "b.mp4",
        "c.mp4",
        "whole.mp4",
    ]


def test_the_audio_of_very_many_parts_stays_in_time(tmp_path: Path) -> None:
    part = loud_video(tmp_path, "a", range(0, 1), heard=0.5, fps=23.0)

    join_videos([part] * 46, tmp_path / "whole.mp4")

    assert count_samples_in(tmp_path / "whole.mp4") == 2 * SAMPLE_RATE


def test_one_video_is_copied(tmp_path: Path) -> None:
    joined = join_videos([video(tmp_path, "a", range(0, 3))], tmp_path / "whole.mp4", shared=1)

    assert (joined.frames, joined.encoded_again) == (3, False)


def test_no_video_and_no_video_are_said(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")

    with pytest.raises(InvalidRequestError, match="no videos to join"):
        join_videos([], tmp_path / "whole.mp4")
    with pytest.raises(StorageError, match="not a readable video"):
        join_videos([tmp_path / "text.mp4"], tmp_path / "whole.mp4")


def write_with_b_frames(path: Path, frames: Frames) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        options = {"bf": "2", "b-adapt": "0", "crf": "10"}
        stream = container.add_stream("libx264", rate=to_frame_rate(8), options=options)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def loud_video(folder: Path, name: str, levels: range, *, heard: float, fps: float = 8.0) -> Path:
    """Write a video that is heard at one loudness, the square wave of 100 Hz."""
    silent = video(folder, f"{name}.silent", levels, fps=fps)
    seconds = len(levels) / fps
    wave = heard * np.sign(
        np.sin(np.arange(round(seconds * SAMPLE_RATE)) * np.pi * 200 / SAMPLE_RATE)
    )
    audio = to_pcm(Audio(wave[None].astype(np.float32), SAMPLE_RATE), wave.size)
    add_audio(silent, fit_audio(audio.to_frames(), seconds=seconds), folder / f"{name}.mp4")
    silent.unlink()
    return folder / f"{name}.mp4"


def read_samples(path: Path) -> Frames:
    """Return how loud each sample is."""
    with open_video(path) as media:
        return np.concatenate([np.abs(each.to_ndarray()[0]) for each in media.decode(audio=0)])


def count_samples_in(path: Path) -> int:
    """Return the length that players use; decoders add what the last packet has over."""
    with open_video(path) as media:
        stream = media.streams.audio[0]
        assert (stream.rate, stream.start_time, stream.duration is None) == (SAMPLE_RATE, 0, False)
        return round((stream.duration or 0) * (stream.time_base or 0) * SAMPLE_RATE)
