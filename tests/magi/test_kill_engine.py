"""A kill of a short video; `make kill-engine` does twenty of a long one."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def kill_engine() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT))
    from benchmarks import kill_engine

    yield kill_engine
    sys.path.remove(str(ROOT))


def behind_a_chunk(video: Any, _: float) -> Callable[[], bool]:
    """Kill as soon as there is something to resume, whatever the speed of the machine."""
    return lambda: video.announced_chunks() > 0


def test_a_video_that_is_killed_and_resumed_has_the_same_frames(
    kill_engine: ModuleType, tmp_path: Path
) -> None:
    outcomes = kill_engine.play(
        tmp_path, kills=1, chunks=4, kills_per_video=1, moment=behind_a_chunk
    )

    records = [json.loads(path.read_bytes()) for path in tmp_path.glob("video*/video.json")]
    assert sum(outcome.kills for outcome in outcomes) == 1
    assert sum(outcome.resumed for outcome in outcomes) == 1
    assert all(record["lineage"]["resumed_from_chunk"] > 0 for record in records)
    assert all(outcome.is_equal for outcome in outcomes)
