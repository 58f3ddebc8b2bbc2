"""A training run is a budget of minutes: learning rates follow the share of it that is spent."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

WARM_UP = 0.02
DECAY_FROM = 0.6


@dataclass
class Budget:
    """Minutes to spend; the clock is a parameter so that tests need not wait."""

    minutes: float
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"--minutes must be above 0, not {self.minutes}")
        self.started = self.clock()

    def spent(self) -> float:
        """Return the share of the budget that is used up, 0 to 1 and beyond."""
        return (self.clock() - self.started) / (60 * self.minutes)

    def steps(self) -> Iterator[None]:
        """Yield for every step: at least once, and while one as long as the last still fits."""
        is_over = False
        while not is_over:
            began = self.clock()
            yield
            took = (self.clock() - began) / (60 * self.minutes)
            is_over = self.spent() + took > 1

    def left(self) -> "Budget":
        """Return a budget of what is left of this one, at least a second."""
        return Budget(max(1 / 60, self.minutes * (1 - self.spent())), self.clock)

    def learning_rate(self) -> float:
        """Return the factor on the peak rate: short warm-up, plateau, linear decay to 1 %."""
        spent = self.spent()
        if spent < WARM_UP:
            return max(0.02, spent / WARM_UP)
        return 1.0 if spent < DECAY_FROM else max(0.01, (1 - spent) / (1 - DECAY_FROM))
