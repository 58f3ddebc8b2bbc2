"""What the sandbox shows: a board that says what was asked, and something that moves."""

import colorsys
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media_agent.errors import InvalidRequestError
from media_agent.video.codec import to_frame_rate
from media_agent.video.text import wrap
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_MARK = "SANDBOX (drawn, not generated)"
_PAPER, _INK, _WARNING = (236, 236, 228), (24, 24, 24), (176, 32, 32)
_SMALLEST_LETTERS = 9  # pixels


class Slate:
    """Draws any frame of a request from its number alone, so that every run looks the same."""

    def __init__(self, request: VideoRequest) -> None:
        if request.size is None or request.fps is None:
            raise InvalidRequestError("the request has no size or no fps; a plan sets them")
        self._request = request
        self._width, self._height = request.size.width, request.size.height
        self._fps = to_frame_rate(request.fps)
        letters = max(_SMALLEST_LETTERS, min(self._height // 14, self._width // 20))
        self._font = ImageFont.load_default(size=letters)
        self._has_letters = self._width >= 60 and self._height >= 40
        self._margin, self._line = letters // 2, letters * 3 // 2
        self._side = max(2, min(self._width, self._height) // 8)
        self._square_top = self._height - self._side - self._side // 2
        self._counter_top = self._square_top - self._line - 2
        self._shots = _list_first_frames(request)
        self._square = _pick_color(request.seed)
        self._board: tuple[str, Image.Image] | None = None

    def frames(self, first: int, end: int, prompt: str | None = None) -> "Frames":
        """Draw frames `first` to `end`, not included (uint8, T H W 3).

        A `prompt` rules over the shots of the request.
        """
        drawn = np.empty((end - first, self._height, self._width, 3), np.uint8)
        for number in range(first, end):
            drawn[number - first] = self._draw_frame(number, prompt or self.prompt_at(number))
        return drawn

    def prompt_at(self, frame: int) -> str:
        """Return the prompt of the shot that contains this frame."""
        prompts = [prompt for start, prompt in self._shots if start <= frame]
        return prompts[-1] if prompts else ""

    def _draw_frame(self, number: int, prompt: str) -> "Frames":
        image = self._prepare_board(prompt).copy()
        draw = ImageDraw.Draw(image)
        if self._has_letters:
            total = self._request.num_frames
            counter = f"frame {number + 1}" + ("" if total is None else f" of {total}")
            position = (self._margin, self._counter_top)
            draw.text(position, counter, fill=_INK, font=self._font)
        draw.rectangle(self._place(number), fill=self._square)
        return np.asarray(image, np.uint8)

    def _prepare_board(self, prompt: str) -> Image.Image:
        if self._board is None or self._board[0] != prompt:
            self._board = (prompt, self._draw_board(prompt))
        return self._board[1]

    def _draw_board(self, prompt: str) -> Image.Image:
        board = Image.new("RGB", (self._width, self._height), _PAPER)
        if not self._has_letters:
            return board
        draw = ImageDraw.Draw(board)
        room = self._width - 2 * self._margin
        most = (self._counter_top - self._margin) // self._line
        facts = wrap(self._describe(), room, draw, self._font, most=3)
        prompt_lines = max(1, most - 1 - len(facts))
        rows = [
            wrap(_MARK, room, draw, self._font, most=1)[0],
            *wrap(prompt, room, draw, self._font, most=prompt_lines),
            *facts,
        ]
        for place, text in enumerate(rows[:most]):
            position = (self._margin, self._margin + place * self._line)
            draw.text(position, text, fill=_INK if place else _WARNING, font=self._font)
        return board

    def _describe(self) -> str:
        request = self._request
        frames = request.num_frames
        length = "endless" if frames is None else f"{float(frames / self._fps):g} s"
        facts = f"{self._width}x{self._height}, {length}, {float(self._fps):g} fps"
        if request.seed is not None:
            facts += f", seed {request.seed}"
        if request.negative_prompt is not None:
            facts += f", without: {request.negative_prompt}"
        return facts

    def _place(self, number: int) -> tuple[int, int, int, int]:
        """Return the corners of the square, which crosses the image in two seconds."""
        way = max(1, self._width - self._side)
        step = max(1, round(way / (2 * self._fps)))
        left, top = number * step % way, self._square_top
        return left, top, left + self._side - 1, top + self._side - 1


def _list_first_frames(request: VideoRequest) -> list[tuple[int, str]]:
    """Return the first frame of every shot and its prompt."""
    shots = request.storyboard()
    fps = to_frame_rate(request.fps or 1)
    ends = accumulate(shot.duration or 0 for shot in shots)
    starts = [0, *(round(seconds * fps) for seconds in ends)]
    return [(start, shot.prompt) for start, shot in zip(starts, shots, strict=False)]


def _pick_color(seed: int | None) -> tuple[int, int, int]:
    """Return a strong colour that tells neighbouring seeds apart."""
    hue = (seed or 0) * 0.618034 % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)
