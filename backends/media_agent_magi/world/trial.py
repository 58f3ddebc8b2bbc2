"""Puts a generator of the tiny world to the test: prompts drawn by a seed, videos read back."""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from media_agent_magi.world.analyser import Reading, analyse
from media_agent_magi.world.captions import caption
from media_agent_magi.world.scene import (
    ATTRIBUTES,
    MAX_RADIUS,
    MIN_RADIUS,
    SIZE,
    Description,
    Scene,
    all_descriptions,
    is_held_out,
)
from media_agent_magi.world.scores import (
    ChunkScore,
    Frames,
    SeamScores,
    Share,
    frozen_chunks,
    moves_by_phase,
    score,
    seam_scores,
    tally,
)

Generate = Callable[[list[str], int], Iterable[npt.NDArray[np.uint8]]]
"""The prompt of each chunk and a seed in, chunks of (24, 64, 64, 3) uint8 out."""

HELD_OUT_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Case:
    """One video to ask for: what each chunk should show, the words for it, and the seed."""

    descriptions: tuple[Description, ...]
    prompts: tuple[str, ...]
    seed: int

    def scene(self) -> Scene:
        """Return a true scene of the case, somewhere and of some size drawn by its seed."""
        rng = random.Random(self.seed)
        x, y = rng.uniform(0, SIZE), rng.uniform(0, SIZE)
        return Scene(x, y, rng.uniform(MIN_RADIUS, MAX_RADIUS), self.descriptions)


@dataclass(frozen=True, slots=True)
class VideoResult:
    """What came of a case, chunk by chunk."""

    case: Case
    frames: Frames
    readings: tuple[Reading, ...]
    scores: tuple[ChunkScore, ...]


@dataclass(frozen=True, slots=True)
class ChunkGroup:
    """The chunks of a row of the report."""

    name: str
    shares: dict[str, Share]


@dataclass(frozen=True, slots=True)
class Smoothness:
    """Medians over videos of the seam scores, and the share of moving chunks that are frozen.

    moves: medians of how far the object moves from each of the four frames of a latent frame to the
    next, px.
    """

    seams: SeamScores
    frozen: Share
    moves: tuple[float, ...]


def draw_cases(count: int, chunks: int, seed: int, *, switch: bool = False) -> list[Case]:
    """Draw videos to ask for, three in ten of them combinations held out of training.

    The wordings are kept from training too. With `switch`, the motion, colour or background
    changes with every chunk, to a combination held out or not like the first.
    """
    rng = random.Random(seed)
    everything = all_descriptions()
    held_out = [d for d in everything if is_held_out(d)]
    seen = [d for d in everything if not is_held_out(d)]
    new = round(HELD_OUT_SHARE * count)
    firsts = _draw(held_out, new, rng) + _draw(seen, count - new, rng)
    cases = []
    for number, first in enumerate(firsts):
        descriptions = [first]
        while len(descriptions) < chunks:
            descriptions.append(_switch(descriptions[-1], rng) if switch else first)
        prompts = [caption(first, rng, unseen=True)]
        for before, now in itertools.pairwise(descriptions):
            prompts.append(prompts[-1] if now == before else caption(now, rng, unseen=True))
        cases.append(Case(tuple(descriptions), tuple(prompts), seed * 1_000_000 + number))
    return cases


def run(generate: Generate, cases: Iterable[Case]) -> Iterator[VideoResult]:
    """Generate each video and read it.

    Raises:
        ValueError: The generator gave more or fewer chunks than asked for.
    """
    for case in cases:
        chunks = list(generate(list(case.prompts), case.seed))
        if len(chunks) != len(case.prompts):
            raise ValueError(f"{len(case.prompts)} chunks were asked for, {len(chunks)} came")
        readings = tuple(analyse(chunk) for chunk in chunks)
        scores = tuple(map(score, readings, case.descriptions))
        yield VideoResult(case, np.concatenate(chunks), readings, scores)


def groups(results: Sequence[VideoResult]) -> list[ChunkGroup]:
    """Tally first and later chunks, all and by whether their combination was in training."""
    chunks = [
        (index > 0, is_held_out(description), chunk_score)
        for result in results
        for index, (description, chunk_score) in enumerate(
            zip(result.case.descriptions, result.scores, strict=True)
        )
    ]
    rows = []
    for later, place in ((False, "first chunk"), (True, "later chunks")):
        here = [(held_out, s) for is_later, held_out, s in chunks if is_later == later]
        if here:
            rows.append(ChunkGroup(place, tally(s for _, s in here)))
            rows.append(ChunkGroup("  in training", tally(s for held, s in here if not held)))
            rows.append(ChunkGroup("  held out", tally(s for held, s in here if held)))
    return rows


def smoothness(videos: Sequence[Frames], truths: Sequence[Frames]) -> Smoothness:
    """Score the seams of videos in which nothing asked for changes, beside what should move."""
    seams = [seam_scores(video) for video in videos]
    frozen = [frozen_chunks(video, truth) for video, truth in zip(videos, truths, strict=True)]
    names = SeamScores.__dataclass_fields__
    known = {name: [v for s in seams if not np.isnan(v := getattr(s, name))] for name in names}
    medians = {name: float(np.median(v)) if v else np.nan for name, v in known.items()}
    total = Share(sum(share.right for share in frozen), sum(share.total for share in frozen))
    each = np.array([moves_by_phase(v, truth) for v, truth in zip(videos, truths, strict=True)])
    moving = each[np.isfinite(each).all(axis=1)]
    moves = np.median(moving, axis=0) if len(moving) else np.full(each.shape[1], np.nan)
    return Smoothness(SeamScores(**medians), total, tuple(moves.tolist()))


def _draw(pool: list[Description], count: int, rng: random.Random) -> list[Description]:
    """Draw without repeating, as long as there are enough."""
    drawn: list[Description] = []
    while len(drawn) < count:
        drawn += rng.sample(pool, min(len(pool), count - len(drawn)))
    return drawn


def _switch(description: Description, rng: random.Random) -> Description:
    others = [
        other
        for name in ("motion", "colour", "background")
        for value in ATTRIBUTES[name]
        if (other := replace(description, **{name: value})) != description
    ]
    alike = [other for other in others if is_held_out(other) == is_held_out(description)]
    return rng.choice(alike)
