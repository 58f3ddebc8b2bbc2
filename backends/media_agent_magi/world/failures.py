"""Draws the chunks that went wrong, with what was asked for and what was read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent_magi.world.analyser import Reading
from media_agent_magi.world.scene import ATTRIBUTES, CHUNK_FRAMES, SIZE
from media_agent_magi.world.trial import VideoResult

if TYPE_CHECKING:
    from PIL.Image import Image

ENLARGE = 2
SHOWN = 8  # frames of a chunk
MOST = 60  # chunks
_GAP, _LINE = 6, 16  # pixels


def write_failures(path: Path, results: Sequence[VideoResult]) -> int:
    """Write a PNG of the first 60 chunks that are not right; return how many were not."""
    from PIL import Image

    wrong = [
        (result, index)
        for result in results
        for index, chunk in enumerate(result.scores)
        if not chunk.strict
    ]
    row = SIZE * ENLARGE + 2 * _LINE + _GAP
    width = SHOWN * (SIZE * ENLARGE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, max(1, len(wrong[:MOST])) * row), (250, 250, 247))
    for number, (result, index) in enumerate(wrong[:MOST]):
        _draw(sheet, number * row, result, index)
    sheet.save(path)
    return len(wrong)


def describe_reading(reading: Reading) -> str:
    """Say what was read, "?" for what could not be told."""
    words = [getattr(reading, name) or "?" for name in ATTRIBUTES]
    count = f"objects: {'?' if reading.count is None else reading.count}"
    x, y = reading.velocity
    return f"{' '.join(words)}; {count}, {reading.area:.0f} px, {x:.2f} {y:.2f} px/frame"


def _draw(sheet: "Image", top: int, result: VideoResult, index: int) -> None:
    from PIL import Image, ImageDraw

    draw = ImageDraw.Draw(sheet)
    asked = " ".join(getattr(result.case.descriptions[index], name) for name in ATTRIBUTES)
    title = f'"{result.case.prompts[index]}"  chunk {index}, seed {result.case.seed}'
    draw.text((_GAP, top), title, fill=(20, 20, 20))
    line = f"asked {asked}; read {describe_reading(result.readings[index])}"
    draw.text((_GAP, top + _LINE), line, fill=(160, 30, 30))
    chunk = result.frames[index * CHUNK_FRAMES : (index + 1) * CHUNK_FRAMES]
    for place in range(SHOWN):
        image = Image.fromarray(chunk[place * (len(chunk) - 1) // (SHOWN - 1)])
        side = SIZE * ENLARGE
        image = image.resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(image, (_GAP + place * (side + _GAP), top + 2 * _LINE))
