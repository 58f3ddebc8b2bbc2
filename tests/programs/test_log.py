"""What a program says is kept within bounds, its end above all."""

from pathlib import Path

import pytest

from media_agent.programs.log import ProgramLog


def test_a_log_keeps_the_end_of_what_was_said(tmp_path: Path) -> None:
    with ProgramLog(tmp_path / "log", largest=1000) as log:
        for number in range(1000):
            log.file.write(f"line {number}\n".encode())
            log.keep_bounded()

    said = log.path.read_text()
    assert len(said) < 1100
    assert said.endswith("line 998\nline 999\n")
    assert "were cut off" in said


def test_a_log_is_cut_at_the_end_too(tmp_path: Path) -> None:
    with ProgramLog(tmp_path / "log", largest=1000) as log:
        log.file.write(b"x" * 100_000)

    assert log.path.stat().st_size < 1100


def test_who_says_much_is_looked_at_sooner(tmp_path: Path) -> None:
    with ProgramLog(tmp_path / "log", largest=1000) as log:
        calm = log.keep_bounded()
        log.file.write(b"x" * 1001)

        assert log.keep_bounded() < calm


def test_a_key_that_begins_before_the_last_words_is_hidden_whole(tmp_path: Path) -> None:
    key = "abcdefgh" * 20
    with ProgramLog(tmp_path / "log", [key]) as log:
        log.file.write(key.encode() + b"." * 950)

    assert "efgh" not in log.read_last_words()


def test_an_earlier_log_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of yesterday")
    with ProgramLog(tmp_path / "log") as log:
        log.file.write(b"of today")

    assert log.read_last_words() == ": of today"


@pytest.mark.parametrize(
    ("said", "progress"),
    [
        ("progress 40%\n", 0.4),
        ("Progress: 40.5 %\r\n", 0.405),
        ("progress=0.25\n", 0.25),
        ("progress 10%\rprogress 20%\r", 0.2),
        ("progress 30%\nsomething else\n", 0.3),
        ("progress 1\n", 1.0),
        ("progress 40\nprogress 140%\n", None),
        ("no progress 40%\nprogress 40% of it\n", None),
        ("progress 40%", None),  # the line may go on
        ("x" * 200_000 + "\nprogress 90%\n", 0.9),
    ],
)
def test_progress_is_read_from_whole_lines(
    said: str, progress: float | None, tmp_path: Path
) -> None:
    with ProgramLog(tmp_path / "log") as log:
        log.file.write(said.encode())

        assert log.read_progress() == progress
        assert log.read_progress() is None, "it is reported once"


def test_a_line_of_progress_may_come_in_pieces_also_when_the_log_is_cut(tmp_path: Path) -> None:
    found = []
    with ProgramLog(tmp_path / "log", largest=1000) as log:
        for piece in ("progr", "ess 50", "%\n", "x" * 2000 + "\n", "progress 60%\n"):
            log.file.write(piece.encode())
            found.append(log.read_progress())
            log.keep_bounded()

    assert found == [None, None, 0.5, None, 0.6]
