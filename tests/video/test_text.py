import pytest
from PIL import Image, ImageDraw, ImageFont

from media_agent.video.text import wrap


@pytest.mark.parametrize("text", ["word " * 20_000, "x" * 100_000, " " * 700 + "word " * 200])
def test_a_long_prompt_is_cut_to_two_lines_with_an_ellipsis(text):
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    font = ImageFont.load_default(size=18)

    lines = wrap(text, 400, draw, font, most=2)

    assert len(lines) <= 2
    assert lines[-1].endswith("...")
    assert all(draw.textlength(line, font=font) <= 400 for line in lines)


def test_a_short_prompt_stays_as_it_is():
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))

    assert wrap("a red\ncircle", 400, draw, ImageFont.load_default(size=18), most=2) == [
        "a red circle"
    ]
