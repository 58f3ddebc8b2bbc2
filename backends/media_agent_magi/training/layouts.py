"""Which chunks stand side by side in a training sequence, and how noisy each of them is.

A layout is a row of groups; a group is what one forward of the sampler holds: perhaps a finished
chunk, then chunks in work, oldest first. Age a is the part of the schedule a chunk is in, 0 the
noisiest. Groups do not see one another. Training on exactly the windows that sampling runs gives
first chunks their share of the noisiest steps: sorting random timesteps would not (measured by the
prototype: empty first chunks).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """One window: `history` puts a finished chunk in front of the ages."""

    ages: tuple[int, ...]
    history: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Groups that fill the slots of a sequence, and how often they are drawn."""

    groups: tuple[Group, ...]
    weight: float

    def ages(self) -> list[int | None]:
        """Return the age of each slot; None is a finished chunk."""
        slots: list[int | None] = []
        for group in self.groups:
            slots += [None, *group.ages] if group.history else group.ages
        return slots

    def starts(self) -> list[bool]:
        """Say of each slot whether its group begins there."""
        begins: list[bool] = []
        for group in self.groups:
            size = len(group.ages) + group.history
            begins += [True] + [False] * (size - 1)
        return begins

    def key_ranges(self, chunk_tokens: int) -> list[tuple[int, int]]:
        """Return the keys each slot may read, in tokens: its group so far, history only itself."""
        ranges, first = [], 0
        for slot, begins in enumerate(self.starts()):
            first = slot if begins else first
            ranges.append((first * chunk_tokens, (slot + 1) * chunk_tokens))
        return ranges


LAYOUTS = (
    Layout((Group((3, 2, 1, 0), history=True),), 0.40),
    Layout((Group((3, 2, 1, 0)), Group((0,))), 0.21),
    Layout((Group((2, 1, 0)), Group((1, 0))), 0.21),
    Layout((Group((2, 1, 0), history=True), Group((0,))), 0.06),
    Layout((Group((1, 0), history=True), Group((3,), history=True)), 0.06),
    Layout((Group((0,), history=True), Group((2,), history=True), Group((0,))), 0.06),
)
SLOTS = 5
"""Chunks of a training sequence; every layout fills them."""
