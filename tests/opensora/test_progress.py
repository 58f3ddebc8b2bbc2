"""Phases are read from what Open-Sora prints, colours and progress bars included."""

import pytest

from media_agent_opensora.progress import GENERATING, Progress


def colour(text: str) -> bytes:
    return f"\x1b[37m[2026-01-01 00:00:00]\x1b[34m INFO\x1b[0m {text}".encode()


@pytest.mark.parametrize(
    ("said", "phase"),
    [
        ("Inference configuration:", "starting"),
        ("Building dataset...", "reading the prompt"),
        ("Building models...", "loading models"),
        ("Generating image condition by flux...", "generating the first image"),
        ("Generating video...", GENERATING),
        ("Saved to /x/video.mp4", "saving"),
        ("Inference finished.", "saving"),
    ],
)
def test_a_line_begins_a_phase(said: str, phase: str) -> None:
    progress = Progress(None)

    progress.read([b"something else", colour(said), b"Loading: 10%"], now=0)

    assert progress.phase == phase


def test_the_fraction_is_the_time_against_what_was_measured() -> None:
    progress = Progress(100)
    progress.read([b"Loading checkpoint shards: 100%|###| 2/2"], now=5)
    before = progress.estimate_fraction(9)
    progress.read([colour("Generating video...")], now=10)

    fractions = [progress.estimate_fraction(now) for now in (10, 60, 110, 500)]

    assert before == 0
    assert fractions == pytest.approx([0, 0.475, 0.95, 0.95])
    assert progress.describe(60) == "50 s; its authors measured 100 s on H100"


def test_without_a_measurement_the_time_is_said_and_the_bar_counts() -> None:
    progress = Progress(None)
    progress.read([colour("Generating video...")], now=10)
    first = progress.estimate_fraction(60)

    progress.read([b"Inference progress:  50%|#####     | 1/2 [00:01<00:01]"], now=60)

    assert (first, progress.estimate_fraction(60)) == (0, 0.475)
    assert progress.describe(60) == "50 s"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([b"[rank0]: AssertionError: 12 frames"], "AssertionError: 12 frames"),
        (
            [b"torch.OutOfMemoryError: CUDA", b"x.errors.ChildFailedError: "],
            "torch.OutOfMemoryError: CUDA",
        ),
        ([b"ValueError: first", b"KeyError: 'last'"], "KeyError: 'last'"),
        ([b"it says ValueError: no"], None),
    ],
)
def test_the_last_error_of_a_worker_is_kept(lines: list[bytes], error: str | None) -> None:
    progress = Progress(None)

    progress.read(lines, now=0)

    assert progress.error == error
