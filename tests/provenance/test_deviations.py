"""What a record says when the video is not the one that was planned."""

from pathlib import Path

import pytest

from media_agent.provenance.deviations import differences
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.probe import probe
from media_agent_schemas.media import InputRole, MediaInput, Size, VideoMetadata
from media_agent_schemas.request import VideoRequest

PLANNED = VideoRequest(prompt="a fox", num_frames=150, fps=30, size=Size(width=64, height=36))
IMAGE = MediaInput(role=InputRole.FIRST_FRAME, path="fox.png")
SOURCE = MediaInput(role=InputRole.SOURCE_VIDEO, path="fox.mp4")


def video(**changes: object) -> VideoMetadata:
    facts = {"width": 64, "height": 36, "fps": 30.0, "frames": 150, "duration": 5.0}
    return VideoMetadata.model_validate({**facts, "codec": "h264", "size_bytes": 1, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"frames": 151, "duration": 5.03}, []),
        ({"width": 32}, ["requested 64x36, received 32x36"]),
        ({"fps": 24.0, "frames": 120}, ["requested 30 frames per second, received 24"]),
        ({"frames": 17, "duration": 0.57}, ["requested 5 s, received 0.57 s (17 frames)"]),
        ({"frames": 300, "duration": 10.0}, ["requested 5 s, received 10 s (300 frames)"]),
    ],
)
def test_where_a_video_is_not_what_was_planned_it_is_said(
    changes: dict[str, object], said: list[str]
) -> None:
    assert list(differences(PLANNED, PLANNED, video(**changes))) == said


def test_a_rate_that_nobody_asked_for_and_the_shape_of_an_image_are_no_differences() -> None:
    asked = VideoRequest(prompt="a fox", inputs=(IMAGE,))
    planned = PLANNED.model_copy(update={"inputs": (IMAGE,)})

    assert list(differences(asked, planned, video(fps=24.0, frames=120, width=32))) == []


def test_an_extended_video_may_come_back_with_what_it_extends_but_not_shorter() -> None:
    planned = PLANNED.model_copy(update={"inputs": (SOURCE,)})

    assert list(differences(planned, planned, video(frames=300, duration=10.0))) == []
    assert len(list(differences(planned, planned, video(frames=30, duration=1.0)))) == 1


def test_a_video_that_is_cut_off_is_as_long_as_its_frames(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.mp4", tmp_path / "half.mp4"
    content = make_video(Video())
    whole.write_bytes(content)
    half.write_bytes(content[: len(content) * 2 // 3])

    entire, cut = probe(whole), probe(half)

    assert cut.frames < entire.frames
    assert cut.duration == pytest.approx(cut.frames / cut.fps)
    assert entire.duration == pytest.approx(entire.frames / entire.fps)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pixel_format": "yuv420p", "container": "mp4"}, None),
        ({"codec": "hevc", "pixel_format": "yuv420p10le"}, "hevc in yuv420p10le"),
        ({"pixel_format": "yuv444p"}, "h264 in yuv444p"),
        ({"codec": "vp9", "container": "matroska,webm"}, "not MP4"),
        ({"rotation": -90}, "stored turned"),
        ({"pixel_aspect": 1.333}, "not square"),
    ],
)
def test_what_not_every_player_shows_is_said(changes: dict[str, object], said: str | None) -> None:
    found = list(differences(PLANNED, PLANNED, video(**changes)))

    assert bool(found) == (said is not None)
    assert said is None or any(said in each for each in found)
