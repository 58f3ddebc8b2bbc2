"""Videos one after the other: no frame lost, none doubled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import probe, read_frames, to_frame_rate
from media_agent.video.concat import join_videos

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


def test_sound_is_said_to_be_lost(tmp_path: Path) -> None:
    first = tmp_path / "loud.mp4"
    write_with_sound(first, grays(range(0, 4)))

    joined = join_videos([first, first], tmp_path / "whole.mp4")

    assert joined.lost_sound
    assert not probe(joined.path).has_audio


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


def write_with_sound(path: Path, frames: Frames) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=to_frame_rate(8))
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("aac", rate=16000)
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
