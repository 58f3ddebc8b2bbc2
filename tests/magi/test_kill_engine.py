"""A kill of a short video; `make kill-engine` does twenty of a long one."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
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


def behind_a_chunk(video: Any, _: object) -> Callable[[], bool]:
    """Kill as soon as there is something to resume, whatever the speed of the machine."""
    return lambda: video.announced_chunks() > 0


def test_a_video_that_is_killed_and_resumed_has_the_same_frames(
    kill_engine: ModuleType, tmp_path: Path
) -> None:
    _, outcomes = kill_engine.play(
        tmp_path, kills=1, chunks=4, kills_per_video=1, moment=behind_a_chunk
    )

    records = [json.loads(path.read_bytes()) for path in tmp_path.glob("video*/video.json")]
    assert sum(outcome.kills for outcome in outcomes) == 1
    assert sum(outcome.resumed for outcome in outcomes) == 1
    assert all(record["lineage"]["resumed_from_chunk"] > 0 for record in records)
    assert all(outcome.is_equal for outcome in outcomes)


class Growing:
    """Stands in for a video; a chunk is written whenever somebody looks."""

    def __init__(self, written: int) -> None:
        self.written = written

    def announced_chunks(self) -> int:
        self.written += 1
        return self.written - 1


def test_moments_come_by_progress_between_the_first_chunk_and_the_last(
    kill_engine: ModuleType,
) -> None:
    moment = kill_engine.at_random(Random(0))
    pace, places = kill_engine.Pace(40, 0.0), []
    for written in [0] * 100 + list(range(37)):
        video = Growing(written)
        is_time = moment(video, pace)
        while not is_time():
            pass
        places.append(video.written - 1)

    assert all(written < 40 for written in places)
    assert sum(written > 0 for written in places[:100]) >= 95
    assert len(set(places[:100])) > 30
    assert moment(Growing(39), pace) is None
