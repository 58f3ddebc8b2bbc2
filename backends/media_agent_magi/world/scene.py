"""What can be seen in the world of magi/tiny: one object on a torus, described chunk by chunk.

This is the vocabulary of truth: captions say it, the renderer draws it, the analyser reads it back.
Coordinates are in pixels, x to the right and y down; pixel i has its centre at coordinate i.
"""

import itertools
import math
from dataclasses import dataclass

SIZE = 64  # width and height of the torus in pixels
FPS = 24
CHUNK_FRAMES = 24
SPEED = 0.8  # pixels per frame along the direction of motion
MIN_RADIUS, MAX_RADIUS = 8.0, 15.0  # an object of radius r covers pi r^2 pixels, whatever its shape

BACKGROUNDS = ("black", "white", "gray", "navy")
SHAPES = ("circle", "square", "triangle")
COLOURS = ("red", "green", "blue", "yellow", "magenta", "cyan")
MOTIONS = (
    "still",
    "left",
    "right",
    "up",
    "down",
    "up-left",
    "up-right",
    "down-left",
    "down-right",
)

# sRGB, 0-255. Any two are at least 0.5 apart where 1 is the distance from black to pure red. Blue
# carries some green so that it also differs from navy in brightness, which video codecs keep best;
# yellow carries less green for the same reason on white.
BACKGROUND_RGB = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "navy": (0, 0, 128),
}
COLOUR_RGB = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 64, 255),
    "yellow": (255, 224, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}


@dataclass(frozen=True, slots=True)
class Description:
    """What one chunk shows, each attribute by its name.

    Raises:
        ValueError: An attribute has a value that this world does not have.
    """

    background: str
    shape: str
    colour: str
    motion: str

    def __post_init__(self) -> None:
        for name, allowed in ATTRIBUTES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} {value!r} is none of {', '.join(allowed)}")


ATTRIBUTES = {
    "background": BACKGROUNDS,
    "shape": SHAPES,
    "colour": COLOURS,
    "motion": MOTIONS,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole clip: where the object starts, its radius, and a description per chunk.

    The object never jumps: a chunk's motion begins with the step into its first frame.

    Raises:
        ValueError: There is no chunk, or the radius is outside 8-15 pixels.
    """

    x: float
    y: float
    radius: float
    chunks: tuple[Description, ...]

    def __post_init__(self) -> None:
        if not self.chunks:
            raise ValueError("a scene needs at least one chunk")
        if not MIN_RADIUS <= self.radius <= MAX_RADIUS:
            raise ValueError(f"radius {self.radius} is outside {MIN_RADIUS}-{MAX_RADIUS} pixels")


def all_descriptions() -> list[Description]:
    """Return all 648 combinations, in a fixed order."""
    return [Description(*values) for values in itertools.product(*ATTRIBUTES.values())]


def velocity(motion: str) -> tuple[float, float]:
    """Return (vx, vy) in pixels per frame; diagonals keep the speed of 0.8 in total."""
    x = ("right" in motion) - ("left" in motion)
    y = ("down" in motion) - ("up" in motion)
    length = math.hypot(x, y)
    return (SPEED * x / length, SPEED * y / length) if length else (0.0, 0.0)


def held_out_motion(shape: str, colour: str) -> str:
    """Return the one motion that training never shows with this shape and colour."""
    pair = SHAPES.index(shape) * len(COLOURS) + COLOURS.index(colour)
    return MOTIONS[pair % len(MOTIONS)]


# One motion for each of the 18 pairs of colour and shape: 18 of 162 triples (11 %), on any
# background. Every pair is seen with the other eight motions, and each motion is missing for two
# pairs that differ in shape and in colour: only the combination is held out, none of its parts.
HELD_OUT = frozenset(
    (colour, shape, held_out_motion(shape, colour)) for shape in SHAPES for colour in COLOURS
)


def is_held_out(description: Description) -> bool:
    """Say whether training never shows this combination of colour, shape and motion."""
    return (description.colour, description.shape, description.motion) in HELD_OUT
