import math
from itertools import product

import pytest

from media_agent_magi.world.scene import (
    BACKGROUND_RGB,
    COLOUR_RGB,
    COLOURS,
    HELD_OUT,
    MOTIONS,
    SHAPES,
    Description,
    Scene,
    all_descriptions,
    is_held_out,
    velocity,
)


def test_there_are_648_descriptions_and_a_ninth_of_them_is_held_out() -> None:
    everything = all_descriptions()

    assert len(set(everything)) == len(everything) == 648
    assert sum(map(is_held_out, everything)) == 72


def test_every_pair_of_attributes_stays_in_training() -> None:
    triples = set(product(COLOURS, SHAPES, MOTIONS)) - HELD_OUT

    for i, j in ((0, 1), (0, 2), (1, 2)):
        everything = set(product(*((COLOURS, SHAPES, MOTIONS)[k] for k in (i, j))))
        assert {(triple[i], triple[j]) for triple in triples} == everything


def test_each_motion_is_held_out_for_two_different_shapes_and_colours() -> None:
    for motion in MOTIONS:
        pairs = [(colour, shape) for colour, shape, held in HELD_OUT if held == motion]

        assert len({colour for colour, _ in pairs}) == len({shape for _, shape in pairs}) == 2


def test_every_motion_but_still_has_the_same_speed() -> None:
    assert velocity("still") == (0.0, 0.0)
    assert velocity("up-left") == pytest.approx((-0.8 / math.sqrt(2), -0.8 / math.sqrt(2)))
    for motion in MOTIONS[1:]:
        assert math.hypot(*velocity(motion)) == pytest.approx(0.8)


def test_any_two_colours_are_well_apart() -> None:
    palette = [*BACKGROUND_RGB.values(), *COLOUR_RGB.values()]

    closest = min(math.dist(a, b) for i, a in enumerate(palette) for b in palette[:i])

    assert closest >= 0.5 * 255


def test_a_value_from_outside_the_world_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="colour 'purple' is none of red, green"):
        Description("black", "circle", "purple", "left")
    with pytest.raises(ValueError, match="radius 20 is outside"):
        Scene(0, 0, 20, (Description("black", "circle", "red", "left"),))
    with pytest.raises(ValueError, match="at least one chunk"):
        Scene(0, 0, 10, ())
