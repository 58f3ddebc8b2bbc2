import random
from pathlib import Path

import numpy as np
import pytest

from media_agent.video.codec import encode_chunk, iterate_frames
from media_agent_magi.world.analyser import Reading, analyse
from media_agent_magi.world.renderer import SceneBatch, render, to_uint8
from media_agent_magi.world.scene import (
    ATTRIBUTES,
    BACKGROUND_RGB,
    SHAPES,
    Description,
    Scene,
    all_descriptions,
)

RED_CIRCLE = Description("black", "circle", "red", "right")


def draw(*descriptions: Description, seed: int = 0, frames: int = 24) -> np.ndarray:
    """Render a chunk of each description at random: (N, frames, 64, 64, 3) uint8."""
    rng = random.Random(seed)
    scenes = [
        Scene(rng.uniform(0, 64), rng.uniform(0, 64), rng.uniform(8, 15), (description,))
        for description in descriptions
    ]
    return to_uint8(render(SceneBatch.of(scenes), frames)).numpy()


def is_truth(reading: Reading, description: Description) -> bool:
    said = (getattr(reading, name) == getattr(description, name) for name in ATTRIBUTES)
    return all(said) and reading.count == 1


def overlay(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Put what is not black in one chunk over another."""
    return np.where(one.max(axis=-1, keepdims=True) > 100, one, other)


def test_every_description_is_read_as_it_was_drawn() -> None:
    descriptions = all_descriptions()

    chunks = draw(*descriptions, seed=11, frames=8)
    right = [is_truth(analyse(c), d) for c, d in zip(chunks, descriptions, strict=True)]

    assert np.mean(right) >= 0.995


def test_it_is_read_as_well_after_h264(tmp_path: Path) -> None:
    descriptions = random.Random(7).sample(all_descriptions(), 50)
    path = tmp_path / "chunk.mp4"

    right = []
    for chunk, description in zip(draw(*descriptions, seed=12), descriptions, strict=True):
        path.write_bytes(encode_chunk(chunk, fps=24))
        right.append(is_truth(analyse(np.stack(list(iterate_frames(path)))), description))

    assert np.mean(right) >= 0.98


def test_area_and_velocity_are_measured() -> None:
    scene = Scene(60, 3, 10, (Description("white", "triangle", "yellow", "up-right"),))

    reading = analyse(to_uint8(render(SceneBatch.of([scene]), 24))[0].numpy())

    assert reading.area == pytest.approx(np.pi * 100, rel=0.02)
    assert reading.velocity == pytest.approx((0.8 / 2**0.5, -0.8 / 2**0.5), abs=0.01)
    assert reading.confidence == 1


@pytest.mark.parametrize("noise", [4, 10])
def test_mild_noise_is_forgiven(noise: float) -> None:
    descriptions = random.Random(3).sample(all_descriptions(), 60)
    chunks = draw(*descriptions, seed=13)

    wobbly = chunks + np.random.default_rng(0).normal(0, noise, chunks.shape)
    readings = [analyse(chunk) for chunk in wobbly.clip(0, 255).astype(np.uint8)]

    assert sum(map(is_truth, readings, descriptions)) >= 59


@pytest.mark.parametrize("background", BACKGROUND_RGB)
def test_an_empty_image_has_no_object(background: str) -> None:
    frames = np.full((24, 64, 64, 3), BACKGROUND_RGB[background], np.uint8)

    reading = analyse(frames)

    assert (reading.count, reading.background, reading.area) == (0, background, 0)
    assert reading.shape is reading.colour is reading.motion is None


def test_two_objects_are_counted_as_two() -> None:
    blue = Description("black", "square", "blue", "right")
    scenes = [Scene(16, 16, 8, (RED_CIRCLE,)), Scene(48, 48, 10, (blue,))]
    red, blue_square = to_uint8(render(SceneBatch.of(scenes), 24)).numpy()

    reading = analyse(overlay(red, blue_square))

    assert reading.count == 2
    assert (reading.shape, reading.colour) == ("square", "blue")  # the larger one


def test_objects_that_touch_are_no_single_shape_or_no_single_colour() -> None:
    other = Description("black", "square", "red", "right")
    green = Description("black", "circle", "green", "right")
    scenes = [Scene(20, 20, 10, (d,)) for d in (RED_CIRCLE, green)]
    scenes.append(Scene(34, 20, 10, (other,)))
    red, green_circle, red_square = to_uint8(render(SceneBatch.of(scenes), 24)).numpy()

    merged = analyse(overlay(red, red_square))
    half_green = analyse(np.concatenate([red[:, :20], green_circle[:, 20:]], axis=1))

    assert merged.shape is None
    assert half_green.colour is None


def test_a_frozen_object_is_still() -> None:
    frames = draw(RED_CIRCLE)[0]

    assert analyse(np.repeat(frames[:1], 24, axis=0)).motion == "still"


def test_a_jumping_or_crawling_object_has_no_motion_of_this_world() -> None:
    frames = draw(RED_CIRCLE)[0]

    jumping = np.concatenate([frames[:12], np.roll(frames[12:], 20, axis=1)])
    crawling = np.repeat(frames[:8], 3, axis=0)

    assert analyse(jumping).motion is None
    assert analyse(crawling).motion is None


def test_an_attribute_must_last() -> None:
    red = draw(RED_CIRCLE)[0]
    green = red[..., [1, 0, 2]]

    mostly_red = analyse(np.concatenate([red[:20], green[20:]]))
    half_red = analyse(np.concatenate([red[:12], green[12:]]))

    assert (mostly_red.colour, half_red.colour) == ("red", None)
    assert half_red.confidence == 0.5


def test_an_object_that_comes_and_goes_has_no_number() -> None:
    frames = draw(RED_CIRCLE)[0]
    frames[::2] = 0

    reading = analyse(frames)

    assert (reading.count, reading.colour, reading.motion) == (None, None, "right")


def test_a_single_frame_has_no_motion() -> None:
    reading = analyse(draw(RED_CIRCLE)[0][:1])

    assert (reading.count, reading.shape, reading.motion) == (1, "circle", None)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stretched_shape_is_not_the_shape(shape: str) -> None:
    scene = Scene(16, 32, 8, (Description("black", shape, "red", "still"),))
    frames = to_uint8(render(SceneBatch.of([scene]), 24))[0].numpy()

    twice_as_wide = np.repeat(frames, 2, axis=2)[:, :, :64]

    assert analyse(frames).shape == shape
    assert analyse(twice_as_wide).shape is None


def test_a_triangle_upside_down_is_no_triangle() -> None:
    frames = draw(Description("black", "triangle", "red", "still"))[0]

    assert analyse(frames[:, ::-1]).shape is None


def test_an_unnamed_colour_or_background_is_not_given_a_name() -> None:
    frames = draw(Description("black", "circle", "red", "still"))[0].astype(int)

    orange_brown = analyse((frames * [0.55, 0, 0] + [0, 0, 0]).astype(np.uint8))
    green_ground = analyse((255 - frames * [0, 1, 0] - [255, 0, 255]).clip(0).astype(np.uint8))

    assert orange_brown.colour is None
    assert green_ground.background is None


def test_frames_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not float32 of \(24, 64, 64, 3\)"):
        analyse(np.zeros((24, 64, 64, 3), np.float32))
    with pytest.raises(ValueError, match=r"not uint8 of \(24, 32, 32, 3\)"):
        analyse(np.zeros((24, 32, 32, 3), np.uint8))
