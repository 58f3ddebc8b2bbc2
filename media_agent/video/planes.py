"""The brightness of frames as numbers, at any size, and back."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

    Levels = NDArray[np.uint8]  # H W

_NO_COLOUR = 128


def brightness_of(frame: "VideoFrame") -> "Levels":
    """Return the brightness of a frame (yuv420p), to read from."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return np.asarray(rows[: frame.height, : frame.width], np.uint8)


def with_brightness(
    frame: "VideoFrame", levels: "Levels", *, grey: tuple[int, int] = (0, 0)
) -> "VideoFrame":
    """Return a copy of a frame (yuv420p) with this brightness.

    Its colours are unchanged but for the last `grey` (rows, columns; even), which have none.
    """
    import av

    values = frame.to_ndarray()  # 3/2 H, W
    values[: frame.height] = levels
    rows, columns = grey[0] // 2, grey[1] // 2
    if rows and columns:
        colours = values[frame.height :].reshape(2, frame.height // 2, frame.width // 2)
        colours[:, -rows:, -columns:] = _NO_COLOUR
    copy = av.VideoFrame.from_ndarray(values, format="yuv420p")
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    return copy


def scale(levels: "Levels", width: int, height: int, *, smooth: bool = False) -> "Levels":
    """Return brightness at another size: averaged, or with `smooth` by cubic curves."""
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), format="gray")
    how = "BICUBIC" if smooth else "AREA"
    scaled = frame.reformat(width, height, "gray", interpolation=how, threads=1)
    return np.asarray(scaled.to_ndarray(), np.uint8)
