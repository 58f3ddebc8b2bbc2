"""Sound of any kind, and damaged sound, has a loudness that is a number."""

import math

import av
import numpy as np
import pytest

from media_agent.provenance.quality.loudness import LoudnessMeter


def sound(level: float, *, layout: str = "mono", rate: int = 8000) -> av.AudioFrame:
    """Return half a second of a tone."""
    channels = av.AudioLayout(layout).nb_channels
    wave = np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
    with np.errstate(invalid="ignore"):
        tone = level * wave
    samples = np.repeat(tone[None].astype(np.float32), channels, axis=0)
    frame = av.AudioFrame.from_ndarray(samples, "fltp", layout)
    frame.sample_rate = rate
    return frame


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_any_layout_and_rate_is_measured(layout: str, rate: int) -> None:
    meter = LoudnessMeter()
    for _ in range(2):
        meter.add(sound(0.5, layout=layout, rate=rate))

    found = meter.finish()

    assert found.peak_dbfs == pytest.approx(-6, abs=0.1)
    assert found.integrated_lufs is not None
    assert -14 < found.integrated_lufs < 0


def test_frames_of_another_kind_are_left_out() -> None:
    meter = LoudnessMeter()
    meter.add(sound(0.1))
    meter.add(sound(1.0, layout="stereo"))

    assert meter.finish().peak_dbfs == pytest.approx(-20, abs=0.1)


@pytest.mark.parametrize("level", [math.nan, math.inf, 1e30])
def test_samples_that_are_no_numbers_give_finite_ones(level: float) -> None:
    meter = LoudnessMeter()
    meter.add(sound(level))

    found = meter.finish()

    assert math.isfinite(found.peak_dbfs)
    assert found.integrated_lufs is None or math.isfinite(found.integrated_lufs)


def test_no_sound_at_all_is_silence() -> None:
    found = LoudnessMeter().finish()

    assert (found.integrated_lufs, found.peak_dbfs) == (None, -120.0)
