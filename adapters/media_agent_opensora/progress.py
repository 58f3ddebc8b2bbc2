"""What Open-Sora says while it runs: which phase it is in, and what it broke on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

GENERATING = "generating"
_PHASES = {  # what a line says when a phase begins
    "Inference configuration": "starting",
    "Building dataset": "reading the prompt",
    "Building models": "loading models",
    "Generating image condition": "generating the first image",
    "Generating video": GENERATING,
    "Saved to": "saving",
    "Inference finished": "saving",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_BAR = re.compile(r"(\d{1,3})%\|")  # as tqdm draws it
_ERROR = re.compile(r"(?:\[rank\d+\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception)(?:: .*)?)")
_OF_THE_LAUNCHER = "ChildFailedError"
_GENERATED = 0.95  # of the whole work; the rest is for the file


@dataclass
class Progress:
    """Follows the output of one run; times are of whatever clock is given."""

    expected_seconds: float | None
    """How long generating takes, None where nobody has measured it."""
    phase: str | None = None
    """None: it has not said anything yet."""
    error: str | None = None
    """The last error that was printed."""
    _began: float | None = field(default=None)  # generating
    _drawn: float = 0.0  # of the bar

    def read(self, lines: Iterable[bytes], now: float) -> None:
        """Take lines of the output."""
        for line in lines:
            self._read(_COLOUR.sub("", line.decode("utf-8", "replace")).strip(), now)

    def estimate_fraction(self, now: float) -> float:
        """Return how much of the whole work is done, as far as that can be known."""
        if self._began is None:
            return 0.0
        elapsed = 0.0
        if self.expected_seconds is not None:
            elapsed = min(1.0, (now - self._began) / self.expected_seconds)
        return _GENERATED * max(elapsed, self._drawn)

    def describe(self, now: float) -> str | None:
        """Return how long it has been generating, and how long that takes; None before."""
        if self._began is None or self.phase != GENERATING:
            return None
        elapsed = f"{now - self._began:.0f} s"
        if self.expected_seconds is None:
            return elapsed
        return f"{elapsed}; its authors measured {self.expected_seconds:g} s on H100"

    def _read(self, line: str, now: float) -> None:
        for said, phase in _PHASES.items():
            if said in line:
                self.phase = phase
                if phase == GENERATING:
                    self._began = now
        if self._began is not None and (bar := _BAR.search(line)):
            self._drawn = max(self._drawn, min(1.0, int(bar[1]) / 100))
        broke = _ERROR.fullmatch(line)
        if broke is not None and _OF_THE_LAUNCHER not in broke[1]:
            self.error = broke[1]
