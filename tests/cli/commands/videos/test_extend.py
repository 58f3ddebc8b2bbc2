"""Files that are continued: the whole video, or only what is new, and the output says which."""

import json
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.video.probe import probe

pytest.importorskip("torch")


@pytest.fixture
def mine(capsys: pytest.CaptureFixture[str]) -> str:
    """Make a video of a second, larger than those of the model."""
    words = ["a cat", "--backend", "sandbox", "--size", "128x96", "--duration", "1"]
    assert main(["generate", *words, "--out", "mine.mp4"]) == 0
    capsys.readouterr()
    return "mine.mp4"


def extend(*words: str) -> int:
    flags = ["--duration", "1", "--backend", "magi/tiny", "--seed", "0"]
    return main(["extend", *words, *flags])


def test_a_file_is_extended_to_the_whole_video(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extend(mine, "a red circle", "--out", "on.mp4") == 0

    answer = capsys.readouterr()
    on = probe(Path("on.mp4"))
    assert (on.width, on.height, on.frames) == (128, 96, 48)
    assert f"the whole video: 1.00 s of {Path(mine).absolute()}, then 24 new frames" in answer.out
    assert "48 frames, 2.00 s, 128x96" in answer.out
    assert "scaled from 64x64 to the size of the source" in answer.err
    record = json.loads(Path("on.json").read_text())
    assert record["artifacts"][0]["joined"]["source"] == str(Path(mine).absolute())


def test_only_the_new_part_is_written_when_only_that_is_wanted(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extend(mine, "a red circle", "--only-new", "--out", "on.mp4") == 0

    on = probe(Path("on.mp4"))
    assert (on.width, on.height, on.frames) == (64, 64, 24)
    assert "on.mp4: only the new part of the video" in capsys.readouterr().out


def test_the_job_of_an_extended_file_is_extended_with_the_file_in_front(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extend(mine, "a red circle", "--out", "on.mp4") == 0
    job = json.loads(Path("on.json").read_text())["job_id"]
    capsys.readouterr()

    assert main(["extend", job, "a blue square", "--duration", "1", "--out", "far.mp4"]) == 0

    answer = capsys.readouterr()
    far = probe(Path("far.mp4"))
    assert (far.width, far.height, far.frames) == (128, 96, 72)
    assert f"the whole video: 1.00 s of {Path(mine).absolute()}, then 48 new frames" in answer.out


def test_options_and_a_size_reach_the_model_that_continues_a_file(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extend(mine, "a red circle", "--option", "presett=fast") != 0
    assert "presett" in capsys.readouterr().err

    sized = ("--size", "128x96", "--only-new", "--out", "on.mp4")
    assert extend(mine, "a red circle", *sized) == 0
    assert "size 128x96 -> 64x64" in capsys.readouterr().err


def test_a_job_is_continued_with_its_own_options_and_size(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extend", "last", "a red circle", "--size", "64x64"]) == 2
    assert "leave out size" in capsys.readouterr().err
