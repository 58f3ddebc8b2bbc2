"""The score of a seam: what a cut looks like against what is next to it."""

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_agent.errors import StorageError
from media_agent.provenance.seams import find_seams, measure_seams, score_seams
from media_agent.testing.simulator.videos import write_video
from media_agent.video.probe import describe
from media_agent_schemas import (
    Artifact,
    ChunkReady,
    JobEvent,
    Method,
    Plan,
    Policy,
    Segment,
    SourceJoin,
    VideoJob,
    VideoRequest,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def draw(shades: np.ndarray) -> np.ndarray:
    """Return frames of a gradient, each as bright as its shade says."""
    picture = np.linspace(0, 40, 64).astype(np.uint8)[None, None, :, None]
    bright = shades.astype(np.uint8)[:, None, None, None]
    return np.broadcast_to(picture + bright, (len(shades), 48, 64, 3))


@pytest.fixture
def ramp_with_a_jump(tmp_path: Path) -> Path:
    """A video that gets 2 levels brighter with each frame, and 40 at frame 20."""
    shades = 2 * np.arange(40) + 40 * (np.arange(40) >= 20)
    write_video(tmp_path / "jump.mp4", draw(shades), fps=8)
    return tmp_path / "jump.mp4"


def test_a_jump_scores_high_and_an_even_change_about_1(ramp_with_a_jump: Path) -> None:
    even, jump = score_seams(ramp_with_a_jump, [8, 20])

    assert even is not None
    assert jump is not None
    assert even == pytest.approx(1, abs=0.4)
    assert 15 < jump < 25


def test_a_video_that_stands_still_at_a_seam_scores_below_1(tmp_path: Path) -> None:
    shades = 4 * np.concatenate([np.arange(20), np.arange(19, 39)])  # frame 20 is frame 19 again
    write_video(tmp_path / "still.mp4", draw(shades), fps=8)

    (score,) = score_seams(tmp_path / "still.mp4", [20])

    assert score is not None
    assert score < 0.5


def test_without_frames_next_to_it_a_seam_has_no_score(tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", draw(np.array([0, 90])), fps=8)

    assert score_seams(tmp_path / "short.mp4", [1, 7]) == [None, None]


def test_seams_of_one_frame_segments_are_not_taken_for_what_is_next_to_them(tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", draw(np.array([0, 90, 0])), fps=8)

    assert score_seams(tmp_path / "short.mp4", [1, 2]) == [None, None]


def test_no_more_than_a_frame_is_held(tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", draw(np.arange(200)), fps=8)
    tracemalloc.start()
    score_seams(tmp_path / "long.mp4", [100])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 10**6


def test_a_file_that_is_no_video_is_said(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no")

    with pytest.raises(StorageError):
        score_seams(tmp_path / "no.mp4", [1])


def make_job(*, method: Method = Method.SINGLE, segments: int = 0, windows: int = 1) -> VideoJob:
    request = VideoRequest(prompt="a cat", fps=8)
    plan = Plan(
        backend="b",
        model="m",
        policy=Policy.ADJUST,
        request=request,
        method=method,
        segments=(Segment(request=request),) * segments,
        windows=windows,
    )
    return VideoJob(id="one", created_at=NOW, updated_at=NOW, request=request, plan=plan)


def chunks(*lengths: int) -> list[JobEvent]:
    return [
        JobEvent(
            job_id="one", sequence=index, time=NOW, event=ChunkReady(index=index, frames=frames)
        )
        for index, frames in enumerate(lengths)
    ]


@pytest.mark.parametrize(
    ("facts", "lengths", "seconds", "found"),
    [
        ({"method": Method.EXTEND, "windows": 3}, (20, 10, 10), None, [20, 30]),
        ({"method": Method.EXTEND, "segments": 2}, (20, 20), None, [20]),
        ({"method": Method.CHAIN, "segments": 3}, (21, 9, 10), None, [20, 29]),
        ({"method": Method.ENDLESS}, (20, 20), None, []),  # the seams of an engine are its own
        ({"method": Method.EXTEND, "segments": 2}, (20, 19), None, []),  # nobody knows where
        ({}, (20,), 2.5, [20]),
        ({"method": Method.EXTEND, "windows": 2}, (10, 10), 2.5, [20, 30]),
    ],
)
def test_seams_are_where_segments_windows_and_sources_meet(
    ramp_with_a_jump: Path,
    facts: dict[str, Any],
    lengths: tuple[int, ...],
    seconds: float | None,
    found: list[int],
) -> None:
    video = describe(ramp_with_a_jump)
    if seconds is not None:
        joined = SourceJoin(seconds=seconds, new_frames=20)
        video = video.model_copy(update={"joined": joined})

    job = make_job(**facts)

    assert find_seams(job, video, chunks(*lengths)) == found
    seams = measure_seams(job, (video,), chunks(*lengths))
    assert [(seam.frame, seam.seconds) for seam in seams] == [(each, each / 8) for each in found]


def test_what_cannot_be_measured_costs_no_video(tmp_path: Path, ramp_with_a_jump: Path) -> None:
    job = make_job(method=Method.EXTEND, windows=2)
    video = describe(ramp_with_a_jump)
    gone = video.model_copy(update={"path": str(tmp_path / "gone.mp4")})

    assert measure_seams(job, (gone,), chunks(20, 20)) == ()
    assert measure_seams(job, (), chunks(20, 20)) == ()
    assert measure_seams(job, (Artifact(kind="video", uri="https://a/b"),), chunks(20, 20)) == ()
