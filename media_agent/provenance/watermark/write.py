"""Adds the watermark of a job to frames, each by itself: the pattern is the same in all of them."""

from typing import TYPE_CHECKING

import numpy as np

from media_agent.provenance.marking import SMALLEST_SIDE
from media_agent.provenance.watermark.pattern import choose_layout
from media_agent.video.planes import brightness_of, scale, with_brightness

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from media_agent.provenance.watermark.pattern import Grid, Layout

_FLAT, _BUSY = 0.8, 1.6  # of the strength: where nothing hides the pattern, and where much does
_BUSY_CHANGE = 6.0  # levels from pixel to pixel of the grid
_STEPS = 8  # of the pattern, for a level of brightness


class Watermarker:
    """Marks frames with one payload; what it adds depends on that, the size and the frame alone."""

    def __init__(self, payload: int) -> None:
        self._payload = payload
        self._layout: Layout | None = None
        self._pattern: Grid | None = None

    def __call__(self, frame: "VideoFrame") -> "VideoFrame":
        """Return a copy of a frame (yuv420p) with the mark; a frame that is too small unmarked."""
        if min(frame.width, frame.height) < SMALLEST_SIDE:
            return frame
        layout = choose_layout(frame.width, frame.height)
        if self._pattern is None or layout is not self._layout:
            self._layout, self._pattern = layout, layout.draw(self._payload)
        brightness = brightness_of(frame)
        grid = scale(brightness, layout.width, layout.height).astype(np.float32)
        added = np.clip(self._pattern * _STEPS * _find_mask(grid) + 128.5, 0, 255)
        full = scale(added.astype(np.uint8), frame.width, frame.height, smooth=True)
        marked = brightness + ((full.astype(np.int16) - (128 - _STEPS // 2)) >> 3)
        return with_brightness(frame, np.clip(marked, 0, 255).astype(np.uint8))


def _find_mask(grid: "Grid") -> "Grid":
    """Return how strong the pattern may be in each pixel of the grid, by how busy its block is."""
    down = np.abs(np.diff(grid, axis=0, append=grid[-1:]))
    across = np.abs(np.diff(grid, axis=1, append=grid[:, -1:]))
    height, width = grid.shape
    busy = (down + across).reshape(height // 8, 8, width // 8, 8).mean((1, 3))
    mask = np.clip(_FLAT + busy / (2 * _BUSY_CHANGE) * (_BUSY - _FLAT), _FLAT, _BUSY)
    return np.asarray(mask.repeat(8, 0).repeat(8, 1), np.float32)
