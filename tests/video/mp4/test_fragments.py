"""A finished video, cut into fragments that a player puts together again."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from media_agent.errors import StorageError
from media_agent.video.mp4.fragments import cut_fragment, find_cuts

SECONDS = 6
RATE = 12


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video with reordered frames, a key frame each second, and sound that begins early."""
    path = tmp_path_factory.mktemp("fragments") / "video.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        images = container.add_stream(
            "libx264", rate=RATE, options={"g": str(RATE), "bf": "2", "sc_threshold": "0"}
        )
        images.width, images.height, images.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("aac", rate=8000)
        for number in range(SECONDS * RATE):
            frame = av.VideoFrame.from_ndarray(
                np.full((32, 32, 3), 3 * number, np.uint8), format="rgb24"
            )
            frame.pts = number
            container.mux(images.encode(frame))
        for start in range(0, SECONDS * 8000, 1000):
            samples = av.AudioFrame.from_ndarray(
                np.zeros((1, 1000), np.float32), format="fltp", layout="mono"
            )
            samples.sample_rate, samples.pts = 8000, start
            container.mux(sound.encode(samples))
        container.mux(images.encode(None))
        container.mux(sound.encode(None))
    return path


def grays(source):
    with av.open(source if isinstance(source, str) else io.BytesIO(source)) as container:
        return [int(each.to_ndarray(format="rgb24")[0, 0, 0]) for each in container.decode(video=0)]


def count_audio(source):
    with av.open(source if isinstance(source, str) else io.BytesIO(source)) as container:
        return sum(1 for _ in container.decode(audio=0))


@pytest.mark.parametrize("lengths", [(), (1.0, 1.0, 1.0)])
def test_the_fragments_together_are_the_whole_video(video, lengths):
    cuts = find_cuts(video, lengths)
    parts = [cut_fragment(video, cuts, number) for number in range(len(cuts.lengths))]

    headers = {header for header, _ in parts}
    whole = parts[0][0] + b"".join(fragment for _, fragment in parts)
    assert len(headers) == 1
    assert grays(whole) == grays(str(video))
    assert count_audio(whole) >= count_audio(str(video))


def test_known_lengths_come_first_and_the_rest_is_not_cut_too_small(video):
    cuts = find_cuts(video, (1.0, 1.0))

    assert [round(each) for each in cuts.lengths] == [1, 1, 2, 2]
    assert cuts.shift == Fraction(2, RATE)


def test_a_fragment_can_leave_the_sound_out(video):
    header, fragment = cut_fragment(video, find_cuts(video), 1, with_audio=False)

    with av.open(io.BytesIO(header + fragment)) as container:
        assert [each.type for each in container.streams] == ["video"]


def test_what_is_no_video_has_no_fragments(tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"no video")

    with pytest.raises(StorageError):
        find_cuts(tmp_path / "no.mp4")
