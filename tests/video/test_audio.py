"""Audio behind audio: as long as the frames last, where it was heard before."""

import math
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from media_agent.ingest.extend import join_source
from media_agent.testing.simulator.videos import write_video
from media_agent.video.audio import SAMPLE_RATE, add_audio, fit_audio
from media_agent.video.probe import probe


def tone(seconds: float, *, rate: int = 22_050) -> Iterator[AudioFrame]:
    """Yield a loud tone, mono, at another rate than that of what is written."""
    for start in range(0, round(seconds * rate), 441):
        frame = AudioFrame(format="flt", layout="mono", samples=441)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        wave = (0.5 * math.sin(2 * math.pi * 440 * (start + n) / rate) for n in range(441))
        frame.planes[0].update(array("f", wave).tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
        yield frame


def loud_seconds(path: Path) -> list[bool]:
    """Return, for each half second, whether there is something to be heard."""
    with av.open(str(path)) as video:
        frames = [frame.to_ndarray()[0] for frame in video.decode(audio=0)]
    samples = np.concatenate(frames)
    half = SAMPLE_RATE // 2
    parts = [samples[n : n + half] for n in range(0, len(samples) - half // 2, half)]
    return [bool(np.abs(part[2000:-2000]).mean() > 0.05) for part in parts]


def video(path: Path, seconds: int, *, sounds: float = 0, delay: float = 0.0) -> Path:
    frames = np.zeros((10 * seconds, 32, 32, 3), np.uint8)
    write_video(path.with_suffix(".silent.mp4"), frames, fps=10)
    if not sounds:
        return path.with_suffix(".silent.mp4").rename(path)
    audio = fit_audio(tone(sounds), seconds=seconds, delay=delay)
    add_audio(path.with_suffix(".silent.mp4"), audio, path)
    return path


def test_audio_lasts_as_long_as_was_asked() -> None:
    lengths = [
        sum(frame.samples for frame in fit_audio(tone(sounds), seconds=1.5, delay=delay))
        for sounds, delay in ((0.5, 0.0), (1.5, 0.0), (9.0, 0.0), (1.0, 1.0), (4.0, -1.0), (0, 0.0))
    ]

    assert lengths == [round(1.5 * SAMPLE_RATE)] * 6


def test_one_channel_is_as_loud_on_both_sides() -> None:
    heard = np.concatenate([each.to_ndarray() for each in fit_audio(tone(1.0), seconds=1.0)], 1)

    assert np.abs(heard[:, 2000:-2000]).max(axis=1) == pytest.approx([0.5, 0.5], abs=0.01)


@pytest.mark.parametrize("delay", [1.0, 1e12])
def test_silence_before_late_audio_is_not_held_in_memory(delay: float) -> None:
    heard: list[AudioFrame] = []

    def late() -> Iterator[AudioFrame]:
        for frame in tone(0.5):
            heard.append(frame)
            yield frame

    audio = fit_audio(late(), seconds=1.0, delay=delay)

    assert next(audio).samples
    assert not heard, "the silence is written before anything is read"
    assert sum(frame.samples for frame in audio) < SAMPLE_RATE
    assert not heard, "nothing is read that is heard too late"


def test_what_comes_too_early_is_left_out_and_what_comes_late_is_heard_late(tmp_path: Path) -> None:
    late = video(tmp_path / "late.mp4", 2, sounds=2, delay=1.0)
    early = video(tmp_path / "early.mp4", 2, sounds=2, delay=-1.0)

    assert loud_seconds(late) == [False, False, True, True]
    assert loud_seconds(early) == [True, True, False, False]


@pytest.mark.parametrize(
    ("of_source", "of_part", "heard"),
    [
        (2, 0, [True] * 4 + [False] * 2),
        (9, 0, [True] * 4 + [False] * 2),
        (0, 1, [False] * 4 + [True] * 2),
        (1, 1, [True] * 2 + [False] * 2 + [True] * 2),
    ],
)
def test_the_audio_of_each_part_is_heard_with_its_frames(
    of_source: float, of_part: float, heard: list[bool], tmp_path: Path
) -> None:
    source = video(tmp_path / "source.mp4", 2, sounds=of_source)
    part = video(tmp_path / "part.mp4", 1, sounds=of_part)

    joined = join_source(source, part, tmp_path / "whole.mp4")

    assert not joined.encoded_again, "the frames are copied, whatever becomes of the audio"
    assert loud_seconds(tmp_path / "whole.mp4") == heard
    assert (probe(tmp_path / "whole.mp4").frames, probe(tmp_path / "whole.mp4").has_audio) == (
        30,
        True,
    )


def test_without_any_audio_there_is_no_track_of_silence(tmp_path: Path) -> None:
    parts = [video(tmp_path / name, 1) for name in ("a.mp4", "b.mp4")]

    join_source(*parts, tmp_path / "whole.mp4")

    assert not probe(tmp_path / "whole.mp4").has_audio
    assert not list(tmp_path.glob("whole.silent*"))
