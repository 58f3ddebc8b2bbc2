"""What is kept of each frame of a video: a few numbers, read in one pass over the file.

A frame is scaled down by averaging to 64x36 for light, colour and change, and to at most 320 pixels
of width for sharpness. All levels are of 8 bits. Memory does not grow with the size of the frames,
and by some hundred bytes for each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.provenance.quality.loudness import LoudnessMeter
from media_agent.provenance.quality.subject import SubjectMeter, Thumb
from media_agent.video.container import open_video
from media_agent.video.images import matrix_of
from media_agent_schemas.quality import Loudness

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Numbers = NDArray[np.float32]
PARTS = 5  # of a video, whose light and colour are compared
_WIDTH, _HEIGHT, _CELL = 64, 36, 4  # pixels: 9x16 cells
_CELLS = (_HEIGHT // _CELL) * (_WIDTH // _CELL)
_SHARP_WIDTH = 320
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_TOP = 14  # of the cells: the tenth that changes most
_WIDE = 122  # of the cells: all but the seventh that changes most
_LEAST_CONTRAST = 1.0  # level; keeps the sharpness of an empty image finite
_COLUMNS = ("brightness", "contrast", "sharpness", "change", "peak_change", "wide_change")


@dataclass(frozen=True, slots=True)
class Signals:
    """A number for each frame; changes are from the frame before it, 0 for the first one."""

    brightness: Numbers
    contrast: Numbers
    """Standard deviation of brightness within the frame."""
    sharpness: Numbers
    """Mean size of the Laplacian, over the contrast."""
    change: Numbers
    """Mean change of brightness."""
    peak_change: Numbers
    """Mean change of brightness of the tenth of the image that changes most."""
    wide_change: Numbers
    """Mean change of brightness without the seventh of the image that changes most."""
    parts: NDArray[np.float64]
    """Mean light, red and blue over it, and colourfulness of each cell in each fifth: 5 144 4."""
    subject_similarity: float | None
    """Of the first to the last part, up to 1; None: too short."""
    loudness: Loudness | None
    """None: it has no sound."""

    def __len__(self) -> int:
        return len(self.brightness)


def read_signals(path: Path, *, frames: int, embedding: EmbeddingSpec | None = None) -> Signals:
    """Decode a video and its sound once; `frames` is how many its file counts.

    Raises:
        StorageError: the file is missing or not a readable video.
        PluginError: the embedding broke.
    """
    from av.audio.frame import AudioFrame
    from av.video.frame import VideoFrame

    meter, listener = FrameMeter(frames, embedding), LoudnessMeter()
    with open_video(path) as video:
        audio = video.streams.audio[:1]
        for frame in video.decode([video.streams.video[0], *audio]):
            if isinstance(frame, AudioFrame):
                listener.add(frame)
            elif isinstance(frame, VideoFrame):
                meter.add(frame)
        loudness = listener.finish() if audio else None
    return meter.finish(loudness)


class FrameMeter:
    """Takes the frames of a video in their order; holds one of them, made small."""

    def __init__(self, frames: int, embedding: EmbeddingSpec | None = None) -> None:
        """Begin a video of about so many frames."""
        self._frames = max(1, frames)
        self._shrinker = _Shrinker()
        self._rows: list[Sequence[float]] = []
        self._before: Numbers | None = None
        self._sums = np.zeros((PARTS, _CELLS, 4))
        self._counts = np.zeros(PARTS)
        self._subject = SubjectMeter(self._frames, embedding)
        self._embedding = embedding

    def add(self, frame: "VideoFrame") -> None:
        """Measure the next frame."""
        grey, thumb = self._shrinker.shrink(frame)
        number = len(self._rows)
        light = thumb @ _LUMA
        contrast = float(light.std())
        self._rows.append(
            (
                float(light.mean()),
                contrast,
                _measure_detail(grey) / max(contrast, _LEAST_CONTRAST),
                *self._compare(light),
            )
        )
        self._before = light
        part = min(number * PARTS // self._frames, PARTS - 1)
        self._sums[part] += _split_cells(thumb)
        self._counts[part] += 1
        if self._subject.wants(number):
            self._subject.add(number, self._for_embedding(frame, thumb))

    def finish(self, loudness: Loudness | None) -> Signals:
        """Return what was measured."""
        table = np.array(self._rows, np.float32).reshape(-1, len(_COLUMNS))
        filled = np.maximum(self._counts, 1)[:, None, None]
        return Signals(
            **dict(zip(_COLUMNS, table.T, strict=True)),
            parts=(self._sums / filled)[self._counts > 0],
            subject_similarity=self._subject.compare(),
            loudness=loudness,
        )

    def _for_embedding(self, frame: "VideoFrame", thumb: Thumb) -> Thumb:
        spec = self._embedding
        return thumb if spec is None else self._shrinker.scale(frame, spec.width, spec.height)

    def _compare(self, light: Numbers) -> tuple[float, float, float]:
        if self._before is None:
            return 0.0, 0.0, 0.0
        changes = _average_cells(np.abs(light - self._before)[..., None])[:, 0]
        changes.sort()
        return float(changes.mean()), float(changes[-_TOP:].mean()), float(changes[:_WIDE].mean())


def _split_cells(thumb: Thumb) -> Numbers:
    """Return light, red and blue against it, and colourfulness of each cell: 144 4."""
    cells = _average_cells(thumb.astype(np.float32))
    light = cells @ _LUMA
    red, blue = cells[:, 0] - light, cells[:, 2] - light
    return np.stack([light, red, blue, (np.abs(red) + np.abs(blue)) / 2], axis=1)


def _average_cells(image: Numbers) -> Numbers:
    """Return the mean of each cell: 144 C."""
    rows, columns = _HEIGHT // _CELL, _WIDTH // _CELL
    blocks = image.reshape(rows, _CELL, columns, _CELL, -1)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32).reshape(_CELLS, -1)


def _measure_detail(grey: NDArray[np.uint8]) -> float:
    """Return the mean size of the Laplacian of brightness, in levels."""
    image = grey.astype(np.int16)
    if min(image.shape) < 3:
        return 0.0
    around = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    return float(np.abs(4 * image[1:-1, 1:-1] - around).mean())


class _Shrinker:
    """Makes frames small in two steps; what a step needs is kept from one frame to the next."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._narrow, self._grey, self._thumb, self._own = (VideoReformatter() for _ in range(4))

    def shrink(self, frame: "VideoFrame") -> tuple[NDArray[np.uint8], Thumb]:
        """Return a frame in grey, at most 320 pixels wide, and all of it at 64x36."""
        matrix = matrix_of(frame)
        if frame.width > _SHARP_WIDTH:
            height = max(1, round(frame.height * _SHARP_WIDTH / frame.width))
            frame = self._narrow.reformat(
                frame, _SHARP_WIDTH, height, "yuv444p", interpolation="AREA", threads=1
            )
        grey = self._grey.reformat(frame, format="gray", threads=1)
        thumb = self._thumb.reformat(
            frame,
            _WIDTH,
            _HEIGHT,
            "rgb24",
            src_colorspace=matrix,
            interpolation="AREA",
            threads=1,
        )
        return np.asarray(grey.to_ndarray(), np.uint8), np.asarray(thumb.to_ndarray(), np.uint8)

    def scale(self, frame: "VideoFrame", width: int, height: int) -> Thumb:
        """Return all of a frame at a size, in red, green and blue."""
        matrix = matrix_of(frame)
        scaled = self._own.reformat(
            frame,
            width,
            height,
            "rgb24",
            src_colorspace=matrix,
            interpolation="AREA",
            threads=1,
        )
        return np.asarray(scaled.to_ndarray(), np.uint8)
