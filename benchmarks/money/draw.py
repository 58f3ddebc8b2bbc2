"""Draws the outcomes of the money bench as bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path

SIZES = (920, 64)  # width of the image; height of a contestant
_LEFT, _TOP = 190, 74
_MEASURES = (
    ("paid_twice_usd", "USD paid twice", "#c44e52"),
    ("videos_lost", "videos lost", "#dd8452"),
    ("without_an_answer", "jobs without an answer", "#8172b3"),
)


def draw(outcomes: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write a chart: three bars for each contestant, with their numbers."""
    from PIL import Image, ImageDraw

    width, height = SIZES[0], _TOP + SIZES[1] * len(outcomes) + 16
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    jobs = outcomes[0]["jobs"] if outcomes else 0
    pen.text(
        (16, 12),
        f"{jobs} jobs through one fault mix, their program killed on the way",
        fill="black",
    )
    left = 16
    for _, said, colour in _MEASURES:
        pen.rectangle((left, 40, left + 10, 50), fill=colour)
        pen.text((left + 16, 39), said, fill="black")
        left += 190
    numbers = [float(str(each[name])) for each in outcomes for name, _, _ in _MEASURES]
    scale = (width - _LEFT - 80) / max([*numbers, 1.0])
    for row, outcome in enumerate(outcomes):
        top = _TOP + SIZES[1] * row
        pen.text((16, top + 20), str(outcome["name"]), fill="black")
        for line, (name, _, colour) in enumerate(_MEASURES):
            number, y = float(str(outcome[name])), top + 6 + 17 * line
            pen.rectangle((_LEFT, y, _LEFT + max(1, number * scale), y + 12), fill=colour)
            pen.text((_LEFT + number * scale + 6, y), f"{number:g}", fill="black")
    image.save(path)
