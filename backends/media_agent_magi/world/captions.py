"""Captions of the tiny world: written freely, understood in any order.

The vocabulary is closed, so what the model cannot have learnt can be named before it is asked.
"""

import random
import re
import zlib

from media_agent_magi.world.scene import BACKGROUNDS, COLOURS, SHAPES, Description

_DIRECTIONS = {
    "left": ("left", "leftward", "leftwards"),
    "right": ("right", "rightward", "rightwards"),
    "up": ("up", "upward", "upwards"),
    "down": ("down", "downward", "downwards"),
}
_STILL = ("still", "stationary", "motionless", "resting", "rest", "not")
_MOVING = ("moving", "drifting", "sliding", "going")
_MOVES = ("moves", "drifts", "slides", "goes")
_GLUE = (
    *("a", "an", "the", "one", "is", "that", "which", "and", "it"),
    *("on", "over", "against", "with", "in", "front", "of", "at", "to"),
    *("background", "diagonally", "direction", "stays", "standing"),
)

WORDS: tuple[str, ...] = (
    *BACKGROUNDS,
    "grey",
    *SHAPES,
    *COLOURS,
    *(form for forms in _DIRECTIONS.values() for form in forms),
    *_STILL,
    *_MOVING,
    *_MOVES,
    *_GLUE,
)
LONGEST_CAPTION = 24  # words; no caption drawn here is longer

_MEANING = {form: name for name, forms in _DIRECTIONS.items() for form in forms}
_KNOWN = frozenset(WORDS)


def tokenize(text: str) -> list[str]:
    """Split a text into lower-case words; punctuation and hyphens only separate."""
    return re.findall(r"\w+", text.lower())


def unknown_words(text: str) -> list[str]:
    """Return the words the tiny model has never read, each once, in order of appearance."""
    return [word for word in dict.fromkeys(tokenize(text)) if word not in _KNOWN]


def parse(text: str) -> Description:
    """Understand a caption, whatever its order; unknown words are passed over.

    An unnamed background is black and an unnamed motion is still.

    Raises:
        ValueError: Shape or colour is missing, or something is given twice and differently.
    """
    _check_neighbours(text)
    words = ["gray" if word == "grey" else word for word in tokenize(text)]
    return Description(
        background=_find_one(words, BACKGROUNDS, "background", default="black"),
        shape=_find_one(words, SHAPES, "shape"),
        colour=_find_one(words, COLOURS, "colour"),
        motion=_motion(words),
    )


def plain_caption(description: Description) -> str:
    """Return the plainest caption, such as "a red circle moving up-left on a black background"."""
    motion = "still" if description.motion == "still" else f"moving {description.motion}"
    thing = f"{description.colour} {description.shape}"
    return f"a {thing} {motion} on a {description.background} background"


def caption(description: Description, rng: random.Random, *, unseen: bool = False) -> str:
    """Say a description in words, drawing word order, articles and synonyms freely.

    One in eight wordings is kept from training, and only those are drawn if `unseen`.
    """
    while True:
        text = _phrase(description, rng)
        if is_unseen(text) == unseen:
            return text


def is_unseen(text: str) -> bool:
    """Say whether these words in this order are kept from training."""
    return zlib.crc32(" ".join(tokenize(text)).encode()) % 8 == 0


def _phrase(description: Description, rng: random.Random) -> str:
    background = _background(description, rng)
    if rng.random() < 0.15:
        return _list_attributes(description, background, rng)
    thing = _thing(description, rng)
    finite = rng.random() < 0.4
    motion = _motion_phrase(description.motion, finite, rng)
    orders = [
        f"{thing} {motion} {background}",
        f"{background}, {thing} {motion}",
        f"{thing} {background} {motion}",
        f"{thing} {background}, it {motion}" if finite else f"{thing}, {motion}, {background}",
    ]
    return _tidy(rng.choice(orders))


def _check_neighbours(text: str) -> None:
    """Refuse "blue background" and "white circle": clear words, but not in this world."""
    lowered = text.lower().replace("grey", "gray")
    for colour in re.findall(rf"\b({'|'.join(COLOURS)})\s+background\b", lowered):
        raise ValueError(f"there is no {colour} background, only {', '.join(BACKGROUNDS)}")
    for ground, shape in re.findall(
        rf"\b({'|'.join(BACKGROUNDS)})\s+({'|'.join(SHAPES)})\b", lowered
    ):
        raise ValueError(f"there is no {ground} {shape}, only {', '.join(COLOURS)} ones")


def _find_one(
    words: list[str], allowed: tuple[str, ...], name: str, default: str | None = None
) -> str:
    """Return the one value of an attribute that the words name."""
    found = list(dict.fromkeys(word for word in words if word in allowed))
    if len(found) > 1:
        raise ValueError(f"more than one {name}: {', '.join(found)}; say one per prompt")
    if found:
        return found[0]
    if default is None:
        raise ValueError(f"no {name} named; say one of {', '.join(allowed)}")
    return default


def _motion(words: list[str]) -> str:
    """Return the motion that the direction words say together."""
    named = {_MEANING[word] for word in words if word in _MEANING}
    at_rest = any(word in _STILL for word in words)
    if at_rest and named:
        raise ValueError(f"still and moving {' '.join(sorted(named))} at once; say one of the two")
    for pair in ({"left", "right"}, {"up", "down"}):
        if pair <= named:
            raise ValueError(f"moving {' and '.join(sorted(pair))} at once; say one of the two")
    parts = [name for name in ("up", "down", "left", "right") if name in named]
    return "-".join(parts) or "still"


def _thing(description: Description, rng: random.Random) -> str:
    colour, shape = description.colour, description.shape
    article = rng.choice(("a ", "a ", "the ", "one ", ""))
    if rng.random() < 0.1:
        return f"{article}{shape} {rng.choice(('that', 'which'))} is {colour}"
    return f"{article}{colour} {shape}"


def _background(description: Description, rng: random.Random) -> str:
    name = description.background
    if name == "black" and rng.random() < 0.25:
        return ""
    if name == "gray" and rng.random() < 0.5:
        name = "grey"
    if rng.random() < 0.15:
        return f"on {name}"
    link = rng.choice(("on", "on", "on", "over", "against", "with", "in front of"))
    article = rng.choice(("a ", "a ", "the ", ""))
    return f"{link} {article}{name} background"


def _motion_phrase(motion: str, finite: bool, rng: random.Random) -> str:
    return _still(finite, rng) if motion == "still" else _moves(motion, finite, rng)


def _still(finite: bool, rng: random.Random) -> str:
    if rng.random() < 0.15:
        return ""
    if finite:
        return rng.choice(("is still", "stays still", "is not moving", "is at rest"))
    return rng.choice(
        ("still", "stationary", "resting", "at rest", "standing still", "not moving", "motionless")
    )


def _moves(motion: str, finite: bool, rng: random.Random) -> str:
    direction = _direction(motion, rng)
    if finite:
        return f"{rng.choice(_MOVES)} {direction}"
    verb = rng.choice(("moving", *_MOVING, ""))
    return f"{verb} {direction}".strip()


def _direction(motion: str, rng: random.Random) -> str:
    """Say "left" as "to the left", "up-right" as "diagonally right and upwards", and so on."""
    parts = motion.split("-")
    if len(parts) == 1:
        return _straight(parts[0], rng)
    if rng.random() < 0.4:
        phrase = "-".join(parts) if rng.random() < 0.7 else " ".join(parts)
    else:
        rng.shuffle(parts)
        phrase = " and ".join(_straight(part, rng) for part in parts)
    return f"diagonally {phrase}" if rng.random() < 0.25 else phrase


def _straight(name: str, rng: random.Random) -> str:
    if rng.random() < 0.6:
        return name
    if name in ("left", "right") and rng.random() < 0.7:
        return f"to the {name}"
    _, ward, wards = _DIRECTIONS[name]
    return rng.choice((wards, wards, ward, f"in an {ward} direction" if name == "up" else wards))


def _list_attributes(description: Description, background: str, rng: random.Random) -> str:
    """Say the attributes as a list in any order."""
    motion = _motion_phrase(description.motion, False, rng)
    pieces = [f"{description.colour} {description.shape}", motion, background]
    if rng.random() < 0.3:
        pieces[:1] = [description.colour, description.shape]
    if rng.random() < 0.5:
        pieces[-1] = pieces[-1].removeprefix("on ").removeprefix("with ")
    rng.shuffle(pieces)
    return _tidy(", ".join(piece for piece in pieces if piece))


def _tidy(text: str) -> str:
    """Close the gaps that left-out parts leave."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s*,(\s*,)*\s*", ", ", text)
    return re.sub(r",? it$", "", text.strip(" ,"))
