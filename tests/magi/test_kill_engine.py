"""Two kills of a short film; `make kill-engine` does twenty of a long one."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def kill_engine() -> Iterator[ModuleType]:
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    import kill_engine

    yield kill_engine
    sys.path.remove(folder)


class LateMoments(random.Random):
    """Kills when some chunks are made, whatever the speed of the machine."""

    def uniform(self, low: float, high: float) -> float:
        return low + 0.7 * (high - low)


def test_a_film_that_is_killed_and_gone_on_with_has_the_same_frames(
    kill_engine: ModuleType, tmp_path: Path
) -> None:
    outcomes = kill_engine.play(
        tmp_path, kills=2, chunks=6, kills_per_film=1, moments=LateMoments()
    )

    assert sum(outcome.kills for outcome in outcomes) == 2
    assert all(outcome.is_equal for outcome in outcomes)
