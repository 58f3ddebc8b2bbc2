"""Audio stays with its frames when what pipelines made is cut and joined."""

import numpy as np

from media_agent.video.audio import Audio
from media_agent_diffusers.pipelines.output import Output, join_outputs

RATE = 240


def make(frames: int, samples: int) -> Output:
    """Return frames numbered from 0, and as many samples, numbered too."""
    pixels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    sound = np.arange(samples, dtype=np.float32)[None]
    return Output(pixels, Audio(sound, RATE))


def test_a_cut_has_the_samples_of_its_frames_and_silence_where_there_are_none() -> None:
    part = make(10, 95).cut(8, 5, fps=24)

    assert part.frames.ravel().tolist() == [8, 9]
    assert part.audio is not None
    assert part.audio.samples.tolist() == [[*range(80, 95), *[0] * 5]]


def test_parts_are_joined_without_a_shift() -> None:
    whole = make(10, 95)

    joined = join_outputs([whole.cut(0, 3, fps=24), whole.cut(3, 7, fps=24)])

    assert joined.frames.ravel().tolist() == list(range(10))
    assert joined.audio is not None
    assert joined.audio.samples.tolist() == [[*range(95), *[0] * 5]]


def test_what_makes_no_audio_stays_silent() -> None:
    silent = Output(make(4, 0).frames)

    assert silent.cut(1, 2, fps=24).audio is None
    assert join_outputs([silent, make(4, 40)]).audio is None
