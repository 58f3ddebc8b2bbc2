"""One line per interval, to a CSV file and through logging."""

import logging
import time
from pathlib import Path

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

REPORT_SECONDS = 10.0


class TrainingLog:
    """Averages what it is given and writes a row every so many steps."""

    def __init__(self, path: Path, *, every: int) -> None:
        self.path, self.every = path, every
        self._sums: dict[str, list[Tensor]] = {}
        self._since = time.monotonic()
        self._reported: float | None = None

    def add(self, step: int, **values: Tensor) -> bool:
        """Take the values of one step; true when it is time to write."""
        for name, value in values.items():
            self._sums.setdefault(name, []).append(value)
        return step % self.every == 0

    def report(self, step: int, spent: float) -> None:
        """Say how far the training is, the first time and then at most every ten seconds."""
        now = time.monotonic()
        if self._reported is None or now - self._reported >= REPORT_SECONDS:
            self._reported = now
            logger.info("%s: step %d, %.0f %% of the time", self.path.stem, step, 100 * spent)

    def write(self, step: int, spent: float, **more: float) -> None:
        """Append the means since the last row, seconds per step, and `more`."""
        means = {name: torch.stack(v).mean().item() for name, v in self._sums.items()}
        count = max(1, max((len(v) for v in self._sums.values()), default=1))
        seconds = (time.monotonic() - self._since) / count
        row = {"step": step, "spent": round(spent, 4), "seconds_per_step": round(seconds, 4)}
        row |= {name: round(value, 5) for name, value in (means | more).items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as file:
            if new:
                file.write(",".join(row) + "\n")
            file.write(",".join(str(value) for value in row.values()) + "\n")
        logger.info("%s", "  ".join(f"{name} {value}" for name, value in row.items()))
        self._sums, self._since = {}, time.monotonic()
