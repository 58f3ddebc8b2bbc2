"""How alike what is shown at the start and at the end of a video is, by a simple embedding.

It is the share of each of 64 colours and of each of 8 directions of edges in nine parts of the
image: made without a trained model, it sees that a red car became a blue one, or that the scene is
another one; that a face became another face it does not see. A plugin may bring a better embedding.
"""

import numpy as np
from numpy.typing import NDArray

from media_agent.errors import PluginError
from media_agent.provenance.quality.embedding import EmbeddingSpec

Thumb = NDArray[np.uint8]  # H W 3, red green blue; 36 64 3 for the simple embedding
Embedding = NDArray[np.float32]

_EDGE = 0.15  # of a video: its first and its last part
_MOST = 32  # frames of a part that are looked at
_COLOURS, _DIRECTIONS, _GRID = 4, 8, 3
_LONGEST = 300  # characters of what a plugin says


class SubjectMeter:
    """Takes small frames; keeps the sum of the embeddings of the first and of the last part."""

    def __init__(self, frames: int, spec: EmbeddingSpec | None = None) -> None:
        """Begin a video of about so many frames.

        Raises:
            PluginError: the embedding cannot be made.
        """
        size = max(1, round(frames * _EDGE))
        self._embed = embed_simply if spec is None else _Fenced(spec)
        self._first_end, self._last_start = size, frames - size
        self._every = -(-size // _MOST)
        self._sums: list[Embedding | None] = [None, None]

    def wants(self, number: int) -> bool:
        """Return whether a frame is one of those that are looked at."""
        is_first, is_last = number < self._first_end, number >= self._last_start
        return is_first != is_last and not number % self._every

    def add(self, number: int, image: Thumb) -> None:
        """Look at a frame that is wanted.

        Raises:
            PluginError: the embedding of a plugin broke.
        """
        found, place = self._embed(image), int(number >= self._last_start)
        before = self._sums[place]
        self._sums[place] = found if before is None else before + found

    def compare(self) -> float | None:
        """Return the cosine of the two parts; None: one of them is missing."""
        first, last = self._sums
        if first is None or last is None:
            return None
        size = float(np.linalg.norm(first) * np.linalg.norm(last))
        return round(float(first @ last) / size, 3) if size > 0 else None


class _Fenced:
    """The embedding of a plugin: what it raises names it, and what it returns is checked."""

    def __init__(self, spec: EmbeddingSpec) -> None:
        self._name = spec.name
        try:
            self._embed = spec.factory()
        except Exception as error:
            raise self._broke(error) from error
        self._size: int | None = None

    def __call__(self, image: Thumb) -> Embedding:
        try:
            vector = np.asarray(self._embed(image), np.float32).ravel()
        except Exception as error:
            raise self._broke(error) from error
        if not vector.size or not np.isfinite(vector).all():
            raise PluginError(f"embedding {self._name} returned no vector of finite numbers")
        if self._size not in (None, vector.size):
            raise PluginError(
                f"embedding {self._name} returned {self._size} numbers and then {vector.size}"
            )
        self._size = vector.size
        return vector

    def _broke(self, error: Exception) -> PluginError:
        said = " ".join(str(error).split())[:_LONGEST]
        return PluginError(f"embedding {self._name} raised {type(error).__name__}: {said}")


def embed_simply(thumb: Thumb) -> Embedding:
    """Return the shares of colours and of the directions of edges, each as its square root."""
    levels = (thumb // (256 // _COLOURS)).astype(np.int64)
    colours = (levels[..., 0] * _COLOURS + levels[..., 1]) * _COLOURS + levels[..., 2]
    shares = np.bincount(colours.ravel(), minlength=_COLOURS**3) / colours.size
    embedding = np.concatenate([shares, _count_edges(thumb)])
    return np.asarray(np.sqrt(embedding), np.float32)


def _count_edges(thumb: Thumb) -> NDArray[np.float64]:
    down, across = np.gradient(thumb.mean(axis=2))
    strength = np.hypot(down, across)
    angle = np.arctan2(down, across) / (2 * np.pi) % 1
    direction = np.minimum((angle * _DIRECTIONS).astype(np.int64), _DIRECTIONS - 1)
    height, width = strength.shape
    rows = (np.arange(height) * _GRID // height)[:, None]
    place = (rows * _GRID + np.arange(width) * _GRID // width) * _DIRECTIONS + direction
    sums = np.bincount(place.ravel(), strength.ravel(), minlength=_GRID**2 * _DIRECTIONS)
    return sums / max(float(sums.sum()), 1e-9)
