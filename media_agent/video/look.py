"""Looks for what a model makes when its weights are wrong: black, one colour, noise, a still."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

DARK, FLAT, STILL = 4.0, 2.0, 0.05  # levels of 255
ALIKE = 0.5
"""How alike neighbouring pixels are at least; of noise they are not at all."""


def find_faults(frames: "Frames") -> tuple[str, ...]:
    """Return what is wrong with frames (uint8, T H W 3), as far as numbers can say."""
    return tuple(_find_faults(frames))


def _find_faults(frames: "Frames") -> Iterator[str]:
    import numpy as np

    grey = frames.astype(np.float32).mean(-1)  # T H W
    if grey.mean() < DARK:
        yield "black"
        return
    if grey.std(axis=(1, 2)).max() < FLAT:
        yield "one colour"
        return
    if _likeness(grey) < ALIKE:
        yield "noise"
    if len(grey) > 1 and np.abs(np.diff(grey, axis=0)).max() < STILL:
        yield "nothing moves"


def _likeness(grey: "Frames") -> float:
    """Return the correlation of pixels with their right neighbours, over all frames."""
    import numpy as np

    centred = grey - grey.mean(axis=(1, 2), keepdims=True)
    product = (centred[:, :, 1:] * centred[:, :, :-1]).sum()
    return float(product / np.maximum((centred**2).sum(), 1e-6))
