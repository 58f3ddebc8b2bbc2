"""Which chunks stand side by side in a training sequence, and how noisy each of them is.

A layout is a row of groups; a group is what one forward of the sampler holds: perhaps finished
chunks, then chunks in work, oldest first. Age a is the part of the schedule a chunk is in, 0 the
noisiest. Groups do not see one another. Training on exactly the windows that sampling runs gives
first chunks their share of the noisiest steps: sorting random timesteps would not (measured by the
prototype: empty first chunks).
"""

from dataclasses import dataclass

from media_agent_magi.tiny.config import SAMPLER


@dataclass(frozen=True, slots=True)
class Group:
    """One window: `history` finished chunks stand in front of the ages."""

    ages: tuple[int, ...]
    history: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Groups that fill the slots of a sequence, and how often they are drawn."""

    groups: tuple[Group, ...]
    weight: float

    def ages(self) -> list[int | None]:
        """Return the age of each slot; None is a finished chunk."""
        slots: list[int | None] = []
        for group in self.groups:
            slots += [None] * group.history + list(group.ages)
        return slots

    def starts(self) -> list[bool]:
        """Say of each slot whether its group begins there."""
        begins: list[bool] = []
        for group in self.groups:
            size = group.history + len(group.ages)
            begins += [True] + [False] * (size - 1)
        return begins

    def key_ranges(self, chunk_tokens: int) -> list[tuple[int, int]]:
        """Return the keys each slot may read, in tokens: as far back as sampling lets its age."""
        ranges, first = [], 0
        for slot, (begins, age) in enumerate(zip(self.starts(), self.ages(), strict=True)):
            first = slot if begins else first
            seen = SAMPLER.clean_chunk_kvrange if age is None else SAMPLER.noise2clean_kvrange[age]
            ranges.append((max(first, slot + 1 - seen) * chunk_tokens, (slot + 1) * chunk_tokens))
        return ranges


STEADY = Layout((Group((3, 2, 1, 0), history=1),), 0.34)
ALL_AT_ONCE = (  # a start in which a chunk enters in every stage
    Layout((Group((3, 2, 1, 0)), Group((0,))), 0.10),
    Layout((Group((1, 0)), Group((2, 1, 0))), 0.10),
)
RAMP = (  # a start in which the window grows: one chunk, then two, then four
    Layout((Group((0,)), Group((1,)), Group((2,)), Group((3,)), Group((0,))), 0.10),
    Layout((Group((0,), history=1), Group((1,), history=1), Group((0,))), 0.06),
    Layout((Group((2, 0), history=1), Group((3,), history=1)), 0.03),
    Layout((Group((2, 0), history=2), Group((0,))), 0.03),
    Layout((Group((3, 1), history=1), Group((0,), history=1)), 0.05),
    Layout((Group((3, 1, 0), history=2),), 0.06),
    Layout((Group((2, 1, 0), history=2),), 0.05),
)
CONTINUATION = (  # the first chunks after a video that is given
    Layout((Group((0,), history=4),), 0.03),
    Layout((Group((2, 0), history=3),), 0.03),
    Layout((Group((1,), history=3), Group((0,))), 0.02),
)
LAYOUTS = (STEADY, *ALL_AT_ONCE, *RAMP, *CONTINUATION)
SLOTS = 5
"""Chunks of a training sequence; every layout fills them."""
