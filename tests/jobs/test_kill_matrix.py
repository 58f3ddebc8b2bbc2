"""Eight cells of the kill matrix; `make kill-matrix` plays all of them."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from benchmarks import kill_matrix


@pytest.mark.parametrize(
    ("provider", "upstream", "step", "status", "accepted"),
    [
        ("fal", "429 with Retry-After", "intent", "outcome_unknown", 0),
        ("fal", "429 with Retry-After", "submit", "completed", 1),
        ("fal", "429 with Retry-After", "collect", "completed", 1),
        ("fal", "closed after accept", "plan", "completed", 1),
        ("fal", "stall", None, "completed", 1),
        ("openai-compatible", "429 with Retry-After", "submit", "outcome_unknown", 1),
        ("openai-compatible", "429 with Retry-After", "record", "completed", 1),
    ],
)
def test_a_job_whose_process_is_killed_is_paid_once_and_ends_or_says_what_to_do(
    tmp_path: Path,
    provider: str,
    upstream: str,
    step: str | None,
    status: str,
    accepted: int,
) -> None:
    outcome = kill_matrix.run_cell(kill_matrix.Cell(provider, upstream, step), tmp_path)

    assert outcome.was_killed is (step is not None)
    assert (outcome.status, outcome.accepted) == (status, accepted)
    assert outcome.holds
    assert outcome.is_resolved or outcome.lookup in ("none", "candidates") or not outcome.reply_lost


def test_a_worker_that_is_killed_leaves_its_job_to_the_next_one(
    tmp_path: Path, postgres_url: SecretStr
) -> None:
    pytest.importorskip("dbos", reason="the extra cluster is not installed")
    cell = kill_matrix.Cell("fal", "429 with Retry-After", "ref")

    outcome = kill_matrix.run_cell(cell, tmp_path, "dbos", postgres_url)

    assert outcome.was_killed
    assert (outcome.status, outcome.accepted, outcome.lives) == ("completed", 1, 2)


def test_the_matrix_is_whole_and_its_numbers_tell_a_broken_promise() -> None:
    cells = kill_matrix.all_cells()
    assert len(cells) == len(set(cells)) == 2 * 6 * 9
    facts = {"lookup": "list", "reply_lost": True, "resolved_seconds": 70.0, "was_killed": True}
    twice = kill_matrix.Outcome(
        cell=cells[0], status="completed", next_step=None, accepted=2, lives=2, seconds=1, **facts
    )

    numbers = kill_matrix.summary([twice])

    assert len(numbers["broken_promises"]) == 1
    assert (numbers["most_accepted_per_intent"], numbers["resolved_share"]) == (2, 0)
