import math
from itertools import pairwise

import pytest
import torch

from media_agent_magi.world.renderer import (
    ChangeProbabilities,
    SceneBatch,
    positions,
    render,
    sample_scenes,
    to_uint8,
)
from media_agent_magi.world.scene import SHAPES, Description, Scene, is_held_out


def red_on_black(shape: str, motion: str) -> Description:
    return Description("black", shape, "red", motion)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [8.0, 11.3, 15.0])
def test_an_object_of_radius_r_covers_pi_r_squared_wherever_it_is(
    shape: str, radius: float
) -> None:
    scenes = [Scene(x, y, radius, (red_on_black(shape, "left"),)) for x, y in ((0, 63), (30.3, 9))]

    red = render(SceneBatch.of(scenes), 24)[:, :, 0]

    area = red.sum(dim=(2, 3))
    assert area.sub(math.pi * radius**2).abs().max() < 0.01 * math.pi * radius**2


@pytest.mark.parametrize("shape", SHAPES)
def test_moving_by_whole_pixels_rolls_the_image(shape: str) -> None:
    scenes = [Scene(x, y, 12.0, (red_on_black(shape, "still"),)) for x, y in ((9.3, 5), (57.3, 37))]

    first, second = render(SceneBatch.of(scenes), 1)[:, 0]

    assert torch.allclose(first.roll((32, 48), (1, 2)), second, atol=1e-4)


def test_the_triangle_points_up_and_the_square_lies_flat() -> None:
    still = [Scene(32, 32, 12, (red_on_black(shape, "still"),)) for shape in ("triangle", "square")]

    triangle, square = render(SceneBatch.of(still), 1)[:, 0, 0]

    assert triangle[15:20].sum() < triangle[33:38].sum() / 3
    assert square[square > 0.99].numel() == 21**2


def test_motion_continues_smoothly_where_it_changes() -> None:
    chunks = tuple(red_on_black("circle", motion) for motion in ("right", "down", "still"))

    track = positions(SceneBatch.of([Scene(60, 60, 9, chunks)]))[0]

    assert track[0].tolist() == [60, 60]
    assert track[24].tolist() == pytest.approx([60 + 23 * 0.8, 60.8], abs=1e-4)
    assert track[71].tolist() == track[47].tolist() == pytest.approx([78.4, 79.2], abs=1e-4)


def test_colours_change_at_once_where_a_chunk_begins() -> None:
    scene = Scene(
        *(32, 32, 10),
        (
            Description("white", "circle", "yellow", "still"),
            Description("navy", "circle", "cyan", "still"),
        ),
    )

    last, first = to_uint8(render(SceneBatch.of([scene]), 2, first_frame=23))[0]

    assert (last[0, 0].tolist(), last[32, 32].tolist()) == ([255, 255, 255], [255, 224, 0])
    assert (first[0, 0].tolist(), first[32, 32].tolist()) == ([0, 0, 128], [0, 255, 255])


def test_frames_outside_the_scene_are_refused() -> None:
    batch = SceneBatch.of([Scene(0, 0, 9, (red_on_black("circle", "left"),))])

    with pytest.raises(ValueError, match=r"frames 1\.\.24 are not within the scene's 24 frames"):
        render(batch, 24, first_frame=1)


def test_a_part_of_a_scene_is_the_same_as_in_the_whole() -> None:
    batch = sample_scenes(3, 3, torch.Generator().manual_seed(5))

    whole, part = render(batch, 72), render(batch, 20, first_frame=40)

    assert torch.equal(whole[:, 40:60], part)


def test_drawn_scenes_leave_out_what_is_held_out_unless_asked() -> None:
    def draw(include: bool) -> list[bool]:
        generator = torch.Generator().manual_seed(1)
        batch = sample_scenes(500, 4, generator, include_held_out=include)
        return [is_held_out(chunk) for scene in batch.descriptions() for chunk in scene]

    assert not any(draw(False))
    assert 0.08 < sum(draw(True)) / 2000 < 0.14


def test_half_of_the_chunks_continue_unchanged_and_motion_changes_most() -> None:
    batch = sample_scenes(2000, 4, torch.Generator().manual_seed(2), include_held_out=True)

    pairs = [pair for scene in batch.descriptions() for pair in pairwise(scene)]
    changed = {
        name: sum(getattr(a, name) != getattr(b, name) for a, b in pairs) / len(pairs)
        for name in ("background", "shape", "colour", "motion")
    }
    unchanged = sum(a == b for a, b in pairs) / len(pairs)

    assert unchanged == pytest.approx(0.5, abs=0.03)
    assert 0 < changed["shape"] < changed["background"] < changed["colour"] < changed["motion"]


def test_nothing_changes_when_told_so() -> None:
    batch = sample_scenes(
        50, 3, torch.Generator().manual_seed(3), change=ChangeProbabilities(anything=0.0)
    )

    assert all(len(set(scene)) == 1 for scene in batch.descriptions())


def test_drawing_is_the_same_for_the_same_seed() -> None:
    one, two = (sample_scenes(4, 2, torch.Generator().manual_seed(9)) for _ in range(2))

    assert torch.equal(render(one, 48), render(two, 48))


def test_a_batch_gives_back_the_descriptions_it_was_made_of() -> None:
    chunks = (Description("navy", "square", "cyan", "down"), red_on_black("circle", "up-left"))

    assert SceneBatch.of([Scene(1, 2, 9, chunks)]).descriptions() == [list(chunks)]
