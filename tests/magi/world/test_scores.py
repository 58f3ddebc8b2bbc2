import random
from dataclasses import replace

import numpy as np
import pytest

from media_agent_magi.world.analyser import analyse
from media_agent_magi.world.renderer import SceneBatch, render, to_uint8
from media_agent_magi.world.scene import ATTRIBUTES, Description, Scene, all_descriptions
from media_agent_magi.world.scores import (
    Share,
    chance_levels,
    frozen_chunks,
    moves_by_phase,
    score,
    seam_scores,
    tally,
)

CHUNKS = 8
MOVING = Description("gray", "square", "cyan", "up-left")


def video(description: Description = MOVING, *, jump: float = 0.0, seed: int = 0) -> np.ndarray:
    """Render 8 chunks, the object put off by `jump` pixels, any way, where each chunk begins."""
    rng = random.Random(seed)
    x, y, radius = rng.uniform(0, 64), rng.uniform(0, 64), rng.uniform(8, 15)
    parts = []
    for chunk in range(CHUNKS):
        scene = Scene(x, y, radius, (description,) * CHUNKS)
        parts.append(render(SceneBatch.of([scene]), 24, first_frame=24 * chunk))
        angle = rng.uniform(0, 2 * np.pi)
        x, y = x + jump * np.cos(angle), y + jump * np.sin(angle)
    return np.concatenate([to_uint8(part)[0].numpy() for part in parts])


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_one_wrong_attribute_fails_that_attribute_alone(name: str) -> None:
    rng = random.Random(name)

    for asked in rng.sample(all_descriptions(), 12):
        other = rng.choice([value for value in ATTRIBUTES[name] if value != getattr(asked, name)])
        shown = replace(asked, **{name: other})
        scene = Scene(rng.uniform(0, 64), rng.uniform(0, 64), 11, (shown,))
        result = score(analyse(to_uint8(render(SceneBatch.of([scene]), 24))[0].numpy()), asked)

        assert not result.strict
        assert [key for key in (*ATTRIBUTES, "single") if not getattr(result, key)] == [name]


def test_the_truth_is_right_and_an_empty_image_is_wrong_and_empty() -> None:
    frames = video()[:24]
    empty = np.full_like(frames, 128)

    right, wrong = (score(analyse(chunk), MOVING) for chunk in (frames, empty))

    assert right.strict
    assert (wrong.strict, wrong.empty, wrong.background) == (False, True, True)


def test_a_second_object_fails_the_strict_score() -> None:
    frames = video()[:24]
    frames[:, :10, :10] = np.where(frames[:, 31:41, 31:41] > 300, 0, (255, 0, 0))

    result = score(analyse(frames), MOVING)

    assert not result.single
    assert not result.strict


def test_shares_are_counted_with_their_interval() -> None:
    scores = [score(analyse(chunk), MOVING) for chunk in (video()[:24], video()[:24] * 0 + 128)]

    counted = tally(scores)

    assert counted["strict"] == Share(1, 2)
    assert counted["background"] == Share(2, 2)
    assert counted["empty"].value == 0.5
    assert Share(70, 100).interval == pytest.approx((0.604, 0.781), abs=0.001)
    assert Share(0, 0).interval == (0.0, 1.0)


def test_chance_is_one_in_648() -> None:
    assert chance_levels()["strict"] == pytest.approx(1 / 648)
    assert chance_levels()["motion"] == pytest.approx(1 / 9)


def test_true_videos_show_no_seams() -> None:
    rng = random.Random(1)

    for seed, description in enumerate(rng.sample(all_descriptions(), 12)):
        seams = seam_scores(video(description, seed=seed))

        assert seams.pixel <= 1.05
        assert seams.motion <= 1.15
        assert seams.background <= 1.05
        assert seams.comb < 5


@pytest.mark.parametrize("motion", ["still", "right", "down-left"])
def test_a_jump_of_two_pixels_at_each_seam_is_caught(motion: str) -> None:
    seams = seam_scores(video(replace(MOVING, motion=motion), jump=2.0))

    assert seams.pixel > 1.5
    assert seams.motion > 10
    assert seams.comb > 20


def test_half_a_pixel_is_caught_by_the_track() -> None:
    assert seam_scores(video(jump=0.5)).motion > 5


def test_a_flash_of_the_background_is_caught() -> None:
    frames = video().astype(int)
    frames[24:48] += 5
    frames[72:96] += 5

    seams = seam_scores(frames.clip(0, 255).astype(np.uint8))

    assert seams.background > 3


def test_a_seam_where_something_was_to_change_can_be_left_out() -> None:
    other = replace(MOVING, colour="red", background="white")
    scene = Scene(20, 20, 10, (MOVING, MOVING, other, other))
    frames = to_uint8(render(SceneBatch.of([scene]), 96))[0].numpy()

    assert seam_scores(frames, seams=[24, 72]).background == pytest.approx(1)
    assert seam_scores(frames).background > 10


def test_without_an_object_the_track_has_no_score() -> None:
    seams = seam_scores(np.zeros((72, 64, 64, 3), np.uint8))

    assert np.isnan(seams.motion)
    assert seams.pixel == seams.background == 1


def test_a_video_of_one_chunk_has_no_seams_to_score() -> None:
    with pytest.raises(ValueError, match="no seams"):
        seam_scores(video()[:24])


def test_a_frozen_video_is_caught_beside_its_perfect_seams() -> None:
    truth = video()
    frozen = np.repeat(truth[:1], len(truth), axis=0)

    assert seam_scores(frozen).pixel == 1
    assert frozen_chunks(frozen, truth) == Share(CHUNKS, CHUNKS)
    assert frozen_chunks(truth, truth) == Share(0, CHUNKS)
    assert frozen_chunks(frozen, frozen) == Share(0, 0)


@pytest.mark.parametrize("motion", ["right", "up-left"])
def test_the_truth_moves_alike_in_every_phase(motion: str) -> None:
    truth = video(replace(MOVING, motion=motion))

    assert moves_by_phase(truth, truth) == pytest.approx([0.8] * 4, abs=0.01)


def test_motion_in_steps_is_seen_by_phase_wherever_the_object_is() -> None:
    truth = video(seed=1)
    stepping = np.repeat(video(seed=2)[::4], 4, axis=0)

    assert moves_by_phase(stepping, truth) == pytest.approx([0, 0, 0, 3.2], abs=0.02)


def test_what_should_stand_still_has_no_moves() -> None:
    still = video(replace(MOVING, motion="still"))

    assert np.isnan(moves_by_phase(video(), still)).all()
