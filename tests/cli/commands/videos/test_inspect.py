"""`media-agent inspect`: a file or a job, in words, as JSON and as an image."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from media_agent.cli import main
from media_agent.client import VideoClient
from media_agent.testing.simulator.videos import Video, make_video, write_video
from media_agent_schemas import QualityReport, VideoRequest
from media_agent_schemas.media import Size

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.mp4"
    path.write_bytes(make_video(Video()))
    return path


@pytest.fixture
def black(tmp_path: Path) -> Path:
    path = tmp_path / "black.mp4"
    write_video(path, np.zeros((12, 32, 32, 3), np.uint8), fps=24)
    return path


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")

    async def make() -> str:
        async with VideoClient() as client:
            request = VideoRequest(prompt="a cat", duration=2, size=Size(width=64, height=64))
            return (await client.generate(request)).id

    return asyncio.run(make())


def test_what_is_fine_is_one_line(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(good)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("video ")
    assert "64x36, 24 fps, 24 frames, 1.00 s, h264" in lines[0]
    assert lines[1].startswith("fine ")
    assert "no jumps" in lines[1]
    assert "no black images" in lines[1]
    assert len(lines) == 3


def test_what_is_wrong_has_its_time(black: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(black)]) == 0

    out = capsys.readouterr().out
    assert "0.00 to 0.50 s: the image is black for 0.50 s" in out
    assert "no black images" not in out


def test_the_report_is_printed_as_json(black: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(black), "--json"]) == 0

    report = QualityReport.model_validate(json.loads(capsys.readouterr().out))
    assert {finding.kind for finding in report.findings} == {"black", "frozen"}


def test_of_a_job_its_seams_are_scored(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", job, "--json"]) == 0

    report = QualityReport.model_validate(json.loads(capsys.readouterr().out))
    assert report.findings == ()
    assert report.boundaries is not None
    assert report.boundaries.count == 1


def test_the_image_shows_frames_and_curves(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "report.png"

    assert main(["inspect", str(good), "--out", str(image)]) == 0
    assert image.read_bytes().startswith(PNG)
    assert str(image) in capsys.readouterr().out

    assert main(["inspect", str(good), "--out", str(image)]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["inspect", str(good), "--out", str(image), "--overwrite"]) == 0


@pytest.mark.parametrize("name", ["nothing", "x" * 5000, "a\0b"], ids=["none", "long", "NUL"])
def test_what_is_neither_file_nor_job_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", name]) == 2

    assert "no file, and no job" in capsys.readouterr().err


def test_a_file_that_is_no_video_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mp4").write_text("no video")

    assert main(["inspect", str(tmp_path / "text.mp4")]) != 0

    assert "not a readable video" in capsys.readouterr().err
