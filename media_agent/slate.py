"""What the sandbox films: a board that says what was asked, and something that moves."""

import colorsys
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media_agent.contact_sheet import wrap
from media_agent.errors import InvalidRequestError
from media_agent.video import frame_rate
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video import Frames

_MARK = "SANDBOX - drawn, not generated"
_PAPER, _INK, _WARNING = (236, 236, 228), (24, 24, 24), (176, 32, 32)
_SMALLEST_LETTERS = 8  # pixels; below, only the moving square is drawn


class Slate:
    """Draws any frame of a request from its number alone, so that every run looks the same."""

    def __init__(self, request: VideoRequest) -> None:
        if request.size is None or request.fps is None:
            raise InvalidRequestError("the request has no size or no fps; a plan sets them")
        self._request = request
        self._width, self._height = request.size.width, request.size.height
        self._fps = frame_rate(request.fps)
        self._letters = max(1, min(self._height // 14, self._width // 20))
        self._shots = _first_frames(request)
        self._square = _square_color(request.seed)
        self._board: tuple[str, Image.Image] | None = None

    def frames(self, first: int, end: int, prompt: str | None = None) -> "Frames":
        """Draw frames `first` to `end`, not included (uint8, T H W 3).

        A `prompt` rules over the shots of the request.
        """
        drawn = np.empty((end - first, self._height, self._width, 3), np.uint8)
        for number in range(first, end):
            drawn[number - first] = self._frame(number, prompt or self.prompt_at(number))
        return drawn

    def prompt_at(self, frame: int) -> str:
        """Return the prompt of the shot that this frame lies in."""
        prompts = [prompt for start, prompt in self._shots if start <= frame]
        return prompts[-1] if prompts else ""

    def _frame(self, number: int, prompt: str) -> "Frames":
        picture = self._board_for(prompt).copy()
        draw = ImageDraw.Draw(picture)
        if self._letters >= _SMALLEST_LETTERS:
            total = self._request.num_frames
            counter = f"frame {number + 1}" + ("" if total is None else f" of {total}")
            line = self._letters * 3 // 2
            position = (self._letters, self._height - self._side - 2 * line)
            draw.text(position, counter, fill=_INK, font=self._font)
        draw.rectangle(self._place(number), fill=self._square)
        return np.asarray(picture, np.uint8)

    def _board_for(self, prompt: str) -> Image.Image:
        if self._board is None or self._board[0] != prompt:
            self._board = (prompt, self._draw_board(prompt))
        return self._board[1]

    def _draw_board(self, prompt: str) -> Image.Image:
        board = Image.new("RGB", (self._width, self._height), _PAPER)
        if self._letters < _SMALLEST_LETTERS:
            return board
        draw = ImageDraw.Draw(board)
        margin, line = self._letters, self._letters * 3 // 2
        room = self._width - 2 * margin
        rows = [(_MARK, _WARNING), *((text, _INK) for text in self._facts())]
        most = max(1, (self._height - self._side - 3 * line) // line - len(rows))
        rows[1:1] = [(text, _INK) for text in wrap(prompt, room, draw, self._font, most=most)]
        for place, (text, color) in enumerate(rows):
            draw.text((margin, margin + place * line), text, fill=color, font=self._font)
        return board

    def _facts(self) -> list[str]:
        request = self._request
        frames = request.num_frames
        length = "endless" if frames is None else f"{float(frames / self._fps):g} s"
        facts = [f"{self._width}x{self._height}  {length}  {float(self._fps):g} fps"]
        if request.seed is not None:
            facts.append(f"seed {request.seed}")
        if request.negative_prompt is not None:
            facts.append(f"without: {request.negative_prompt[:60]}")
        return facts

    @property
    def _font(self) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
        return ImageFont.load_default(size=self._letters)

    @property
    def _side(self) -> int:
        return max(2, self._height // 8)

    def _place(self, number: int) -> tuple[int, int, int, int]:
        """Return the corners of the square, which crosses the picture in two seconds."""
        way = max(1, self._width - self._side)
        step = max(1, round(way / (2 * self._fps)))
        left = number * step % way
        top = self._height - self._side - max(1, self._side // 2)
        return left, top, left + self._side - 1, top + self._side - 1


def _first_frames(request: VideoRequest) -> list[tuple[int, str]]:
    """Return the first frame of every shot and its prompt."""
    shots = request.storyboard()
    fps = frame_rate(request.fps or 1)
    ends = accumulate(shot.duration or 0 for shot in shots)
    starts = [0, *(round(seconds * fps) for seconds in ends)]
    return [(start, shot.prompt) for start, shot in zip(starts, shots, strict=False)]


def _square_color(seed: int | None) -> tuple[int, int, int]:
    """Return a strong colour that tells neighbouring seeds apart."""
    hue = (seed or 0) * 0.618034 % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)
