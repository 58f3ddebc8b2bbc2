"""Measures generated video against what was asked for, and its seams against its own interior."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from media_agent_magi.world.analyser import Reading, look, steps
from media_agent_magi.world.scene import ATTRIBUTES, CHUNK_FRAMES, Description

Frames = npt.NDArray[np.uint8]  # (T, 64, 64, 3), RGB
Floats = npt.NDArray[np.floating]

_TOGETHER = 4  # frames that one latent frame holds
_FROZEN = 0.1  # of the change from frame to frame that the truth has
_STANDS = 0.1  # px per frame
_WINDOW = 11  # frames of the running median under the comb
# Keep the ratios finite where nothing changes: all are far below what an eye could see.
_LEAST_CHANGE, _LEAST_JERK, _LEAST_FLASH = 0.01, 0.01, 1.0  # 8-bit levels, px, 8-bit levels


@dataclass(frozen=True, slots=True)
class ChunkScore:
    """Whether one chunk shows what its caption says."""

    background: bool
    shape: bool
    colour: bool
    motion: bool
    single: bool  # exactly one object
    empty: bool  # no object at all

    @property
    def strict(self) -> bool:
        """All four attributes right, and exactly one object."""
        return self.background and self.shape and self.colour and self.motion and self.single


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    right: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0..1; NaN of nothing."""
        return self.right / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        if not self.total:
            return (0.0, 1.0)
        z, n, p = 1.96, self.total, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class SeamScores:
    """How much a video betrays where its chunks meet; 1 is no more there than elsewhere.

    The renderer's own videos stay within pixel 1.05, motion 1.15, background 1.05 and comb 5. A
    frozen or empty video has no seams either: give these beside adherence and frozen_chunks.
    """

    pixel: float  # change from frame to frame, at the seams over inside
    motion: float  # second difference of the object's track, likewise; NaN without an object
    background: float  # change of the background's colour, likewise
    comb: float  # deviations by which the busiest of the 24 phases of a chunk stands out


def score(reading: Reading, asked: Description) -> ChunkScore:
    """Compare what a chunk shows with what was asked for."""
    return ChunkScore(
        background=reading.background == asked.background,
        shape=reading.shape == asked.shape,
        colour=reading.colour == asked.colour,
        motion=reading.motion == asked.motion,
        single=reading.count == 1,
        empty=reading.count == 0,
    )


def tally(scores: Iterable[ChunkScore]) -> dict[str, Share]:
    """Count chunks by attribute, and by `single`, `strict` and `empty`."""
    chunks = list(scores)
    names = (*ATTRIBUTES, "single", "strict", "empty")
    return {name: Share(sum(getattr(c, name) for c in chunks), len(chunks)) for name in names}


def chance_levels() -> dict[str, float]:
    """Return what a model that pays no heed to the prompt would reach.

    It draws one of the n values of an attribute, and prompts are uniform over them: 1/n, and the
    product 1/648 for all four together.
    """
    levels = {name: 1 / len(values) for name, values in ATTRIBUTES.items()}
    return {**levels, "strict": math.prod(levels.values())}


def seam_scores(frames: Frames, seams: Sequence[int] | None = None) -> SeamScores:
    """Compare the frames where chunks meet with the frames inside.

    Args:
        frames: (T, 64, 64, 3) uint8, at least two chunks of 24 frames.
        seams: The first frames of the chunks to judge, where nothing asked for changes; all
            chunks after the first unless given.

    Raises:
        ValueError: There is no seam between the frames.
    """
    starts = range(CHUNK_FRAMES, len(frames), CHUNK_FRAMES)
    judged = list(starts if seams is None else seams)
    if not judged or min(judged) < 2 or max(judged) > len(frames) - 2:
        raise ValueError(f"no seams to judge: {judged} in {len(frames)} frames")
    change = _changes(frames)  # [t] is from frame t to t + 1
    readings = [look(frames[i : i + CHUNK_FRAMES]) for i in range(0, len(frames), CHUNK_FRAMES)]
    ground = np.concatenate([reading.background_rgb for reading in readings]) * 255
    centre = np.concatenate([reading.centre for reading in readings])
    jerk = np.square(np.diff(steps(centre), axis=0)).sum(axis=1)  # [t] is about t + 1
    flash = np.linalg.norm(np.diff(ground, axis=0), axis=1)
    between = np.array(judged) - 1
    inside = np.setdiff1d(np.arange(len(change)), np.array(starts) - 1)
    touching = np.concatenate([between - 1, between])
    apart = np.setdiff1d(inside[inside < len(jerk)], np.array(starts) - 2)
    return SeamScores(
        pixel=_ratio(np.median(change[between]), np.median(change[inside]), _LEAST_CHANGE),
        motion=_ratio(_rms(jerk[touching]), _rms(jerk[apart]), _LEAST_JERK),
        background=_ratio(flash[between].mean(), flash[inside].mean(), _LEAST_FLASH),
        comb=_comb(change),
    )


def frozen_chunks(frames: Frames, truth: Frames) -> Share:
    """Count the chunks that hardly move among those that should.

    Both are (T, 64, 64, 3); a chunk counts where the truth moves, and is frozen where the frames
    change by less than a tenth of what the truth changes.
    """
    frozen = []
    for start in range(0, len(truth), CHUNK_FRAMES):
        chunk = slice(start, start + CHUNK_FRAMES)
        meant = _changes(truth[chunk]).mean()
        if meant > _LEAST_CHANGE:
            frozen.append(_changes(frames[chunk]).mean() < _FROZEN * meant)
    return Share(sum(map(int, frozen)), len(frozen))


def moves_by_phase(frames: Frames, truth: Frames) -> tuple[float, ...]:
    """Return how far the object moves on average, px, from each of four frames to the next.

    Both are (T, 64, 64, 3); what counts is progress the way that the truth moves in each chunk. The
    first three are inside the group of frames that one latent frame holds, the last leads to the
    next group. All are 0.8 in the truth; NaN where nothing should move.
    """
    made, meant = (_track(video) for video in (frames, truth))
    along = np.full(len(made), np.nan)
    for start in range(0, len(made), CHUNK_FRAMES):
        chunk = slice(start, start + CHUNK_FRAMES)
        way = np.nanmean(meant[chunk], axis=0)
        speed = np.hypot(*way)
        if speed > _STANDS:
            along[chunk] = made[chunk] @ (way / speed)
    phases = [along[phase::_TOGETHER] for phase in range(_TOGETHER)]
    return tuple(float(np.nanmean(p)) if np.isfinite(p).any() else math.nan for p in phases)


def _track(frames: Frames) -> Floats:
    """Return the steps of the object from each frame to the next: (T - 1, 2), px."""
    chunks = range(0, len(frames), CHUNK_FRAMES)
    centre = np.concatenate([look(frames[i : i + CHUNK_FRAMES]).centre for i in chunks])
    return steps(centre)


def _changes(frames: Frames) -> Floats:
    """Return the mean change from each frame to the next, in 8-bit levels: (T - 1)."""
    later, earlier = frames[1:].astype(np.int16), frames[:-1].astype(np.int16)
    return np.abs(later - earlier).mean(axis=(1, 2, 3))


def _ratio(at_seams: np.floating, inside: np.floating, least: float) -> float:
    return float((at_seams + least) / (inside + least))


def _rms(squares: Floats) -> np.floating:
    known = squares[~np.isnan(squares)]
    return np.sqrt(known.mean()) if len(known) else np.float64(np.nan)


def _comb(change: Floats) -> float:
    """Fold the change at the period of a chunk: a seam at an unknown offset still shows."""
    padded = np.pad(change, _WINDOW // 2, mode="edge")
    level = np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1)
    excess = change - level
    phases = np.array([excess[phase::CHUNK_FRAMES].mean() for phase in range(CHUNK_FRAMES)])
    off = phases - np.median(phases)
    return float(off.max() / (1.4826 * np.median(np.abs(off)) + _LEAST_CHANGE))
