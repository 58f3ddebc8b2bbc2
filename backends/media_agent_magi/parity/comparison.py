"""How far results are from what was expected, and whether that is near enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

SINGLE = 1e-5
"""Relative rms allowed for single forwards, guided calls, rotary tables and the autoencoder."""

GENERATION = 1e-4
"""Relative rms allowed for whole generations, and for intermediates."""

ROUNDED = 0.0
"""Relative rms allowed for a forward in bfloat16 on a CPU: every number is rounded in its place."""

ROUNDED_ELSEWHERE = 4e-3
"""The same on a CPU that does not multiply bfloat16 itself, and so adds up in another order.

A sum near the middle of two numbers is rounded the other way then, which spreads: 2.9e-3 on a CPU
with AVX2 alone. One wrong place of rounding gives 6e-3 or more.
"""

SCHEDULE = 1e-6
"""Absolute error allowed for timesteps."""


class CaseError(ValueError):
    """A case that is damaged, incomplete, or says what the engine does not know."""


class NotHereError(CaseError):
    """A case that cannot be checked on this machine; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One compared thing: its error and the largest error that passes."""

    what: str
    error: float
    mark: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the mark; not a number is never within."""
        return self.error <= self.mark

    def __str__(self) -> str:
        return f"{self.what} {self.error:.1e} (mark {self.mark:.0e})"


@dataclass(slots=True)
class Comparison:
    """All that was compared in one case."""

    measures: list[Measure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def close(self, what: str, got: Tensor, expected: Tensor, mark: float = SINGLE) -> None:
        """Compare by relative rms: the norm of the difference over the norm of the expected."""
        if got.shape != expected.shape:
            self.faults.append(f"{what}: shape {tuple(got.shape)}, not {tuple(expected.shape)}")
            return
        norm = float(expected.double().norm())
        error = float((got.double() - expected.double()).norm())
        self.measures.append(Measure(what, error / norm if norm > 0 else error, mark))

    def near(self, what: str, got: Tensor, expected: Tensor, mark: float = SCHEDULE) -> None:
        """Compare by the largest absolute difference."""
        if got.shape != expected.shape:
            self.faults.append(f"{what}: shape {tuple(got.shape)}, not {tuple(expected.shape)}")
            return
        error = (got.double() - expected.double()).abs().max() if got.numel() else 0.0
        self.measures.append(Measure(what, float(error), mark))

    def equal(self, what: str, got: Any, expected: Any) -> None:
        """Compare exactly."""
        if got != expected:
            self.faults.append(f"{what} {got}, not {expected}")
        self.measures.append(Measure(what, 0.0, 0.0))

    @property
    def passed(self) -> bool:
        """Whether something was compared and all of it passed."""
        return bool(self.measures) and not self.faults and all(m.passed for m in self.measures)

    def text(self) -> str:
        """One line: what is wrong, or the error that came nearest to its mark."""
        failed = [str(m) for m in self.measures if not m.passed]
        if self.faults or failed:
            return "; ".join(self.faults + failed)
        if not self.measures:
            return "nothing to compare"
        worst = max(self.measures, key=lambda m: m.error / m.mark if m.mark else -1.0)
        line = str(worst) if worst.mark else f"{len(self.measures)} entries equal"
        return "; ".join([line, *self.notes])


Check = tuple[str, Callable[[], Comparison]]
"""Name of a case and what runs it."""
