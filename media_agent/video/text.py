"""Breaks text into lines of so many pixels."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

_LONGEST = 600  # letters looked at; no lines of ours hold more


def wrap(text: str, width: int, draw: "ImageDraw", font: "Font", *, most: int) -> list[str]:
    """Break text into at most `most` lines of `width` pixels; an ellipsis stands for the rest."""
    text = " ".join(text.split())
    words = text[:_LONGEST].split()
    lines: list[str] = []
    while words and len(lines) < most:
        count = len(words)
        while count > 1 and draw.textlength(" ".join(words[:count]), font=font) > width:
            count -= 1
        lines.append(" ".join(words[:count]))
        words = words[count:]
    if words or len(text) > _LONGEST:
        lines[-1] += " ..."
    return [_shorten(line, width, draw, font) for line in lines]


def _shorten(line: str, width: int, draw: "ImageDraw", font: "Font") -> str:
    if draw.textlength(line, font=font) <= width:
        return line
    kept = line.removesuffix(" ...")
    while kept and draw.textlength(f"{kept} ...", font=font) > width:
        kept = kept[:-1]
    return f"{kept.rstrip()} ..."
