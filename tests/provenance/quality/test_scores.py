"""Scores of numbers that are known."""

import numpy as np
import pytest

from media_agent.provenance.quality import scores
from media_agent.provenance.quality.signals import PARTS


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_change_far_above_those_beside_it_is_a_cut() -> None:
    found = scores.score_cuts(numbers(0, 2, 2, 2, 2, 30, 2, 2, 2, 2))

    assert int(found.argmax()) == 5
    assert found[5] == pytest.approx(30.3 / 2.3 + 30 / 50, rel=1e-4)
    assert found[1:5] == pytest.approx([2.3 / 16.3 + 2 / 50] * 4, rel=1e-4)


def test_fast_motion_that_lasts_is_no_cut() -> None:
    assert scores.score_cuts(numbers(0, 1, 1, 1, 1, 15, 15, 15, 15, 15)).max() < 2


def test_with_too_little_beside_it_nothing_is_a_cut() -> None:
    assert scores.score_cuts(numbers(0, 50, 1, 1, 1)).max() == 0
    assert scores.score_cuts(numbers()).size == 0


def test_runs_have_their_first_and_their_end() -> None:
    held = np.array([True, False, True, True, False, True])

    assert list(scores.list_runs(held)) == [(0, 1), (2, 4), (5, 6)]


def test_brightness_that_grows_evenly_does_not_flicker() -> None:
    assert scores.score_flicker(np.arange(20, dtype=np.float32)) == 0
    assert scores.score_flicker(numbers(*[100, 104] * 10)) == 4


def test_colour_that_steps_once_drifts_less_than_colour_that_moves_on() -> None:
    steadily, once = np.zeros((PARTS, 144, 4)), np.zeros((PARTS, 144, 4))
    steadily[:, :, 0] = np.arange(PARTS)[:, None] * 3
    once[3:, :, 0] = 12

    assert scores.score_colour_drift(steadily) == pytest.approx(12 + 1.2)
    assert scores.score_colour_drift(once) == pytest.approx(1.2)


def test_what_half_of_the_image_does_alone_is_no_drift() -> None:
    parts = np.zeros((PARTS, 144, 4))
    parts[:, :70, 0] = np.arange(PARTS)[:, None] * 20

    assert scores.score_colour_drift(parts) == 0


@pytest.mark.parametrize(
    ("values", "ratio"), [([1, 2, 4, 8, 16], 16), ([16, 8, 4, 2, 1], 16), ([1, 2, 1, 2, 1], 1)]
)
def test_only_what_grows_or_falls_all_the_time_is_steady(values: list[int], ratio: float) -> None:
    assert scores.score_steady_ratio(numbers(*values), least=0.1) == pytest.approx(ratio)


def test_boundaries_are_compared_with_everything_else() -> None:
    found = scores.score_boundaries(numbers(0, 1, 1, 9, 1, 1), [3, 6, 0])

    assert found is not None
    assert found[1] == pytest.approx(9.1 / 1.1)


def test_without_frames_or_boundaries_there_is_no_score() -> None:
    assert scores.score_boundaries(numbers(), [3]) is None
    assert scores.score_boundaries(numbers(0, 1, 2), []) is None
