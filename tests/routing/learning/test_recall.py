"""A ledger is learned from once; the next process goes on from there, to the same numbers."""

from pathlib import Path

import pytest

from media_agent.ledger.ledger import Ledger
from media_agent.ledger.outcomes import Outcomes
from media_agent.routing.learning.recall import Recall
from tests.routing.learning.test_experience import BEGIN, outcome

NOW = BEGIN + 10_000_000


def fill(ledger: Ledger, count: int) -> None:
    with ledger.database.writing(durably=False) as transaction:
        for number in range(count):
            row = outcome(BEGIN + 300 * number, 30 + number % 7)
            values = {name: getattr(row, name) for name in row.__dataclass_fields__}
            transaction.insert("outcomes", values)


def recall(ledger: Ledger, half_life_days: float = 14.0) -> Recall:
    return Recall(ledger.outcomes, half_life_days, lambda: NOW)


@pytest.mark.parametrize(
    "lesson", ["'{\"offers\": 1}'", "replace(lesson, '\"noise\": 0.', '\"noise\": -0.')"]
)
def test_what_was_kept_and_is_damaged_is_learned_again(tmp_path: Path, lesson: str) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    fill(ledger, 300)
    learned = recall(ledger)()
    with ledger.database.writing() as transaction:
        transaction.change(f"UPDATE lessons SET lesson = {lesson}")

    again = recall(Ledger(tmp_path / "ledger.sqlite"))()

    assert learned is not None
    assert again == learned


def test_planning_makes_no_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "none" / "ledger.sqlite")

    assert recall(ledger)() is None
    assert not (tmp_path / "none").exists()


def test_the_next_process_reads_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    fill(ledger, 500)
    first = recall(ledger)()
    asked: list[int] = []
    read = Outcomes.read

    def watch(self: Outcomes, after: int = 0, **options: int) -> object:
        asked.append(after)
        return read(self, after, **options)

    monkeypatch.setattr(Outcomes, "read", watch)

    assert recall(ledger)() == first
    assert asked == [500]
    other = recall(ledger, half_life_days=2.0)()
    assert other is not None
    assert other.half_life_days == 2.0
    assert asked == [500, 0]


def test_a_damaged_ledger_keeps_nobody_from_planning(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, but long enough to look" * 50)

    assert recall(Ledger(tmp_path / "ledger.sqlite"))() is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seconds", -5.0),
        ("video_seconds", -2.0),
        ("ended_at", 9e18),
        ("began_at", float("inf")),
        ("ending", "of a later version"),
    ],
)
def test_an_outcome_that_cannot_be_is_left_out(
    tmp_path: Path, column: str, value: float | str
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    fill(ledger, 3)
    with ledger.database.writing() as transaction:
        transaction.change(f"UPDATE outcomes SET {column} = :value WHERE id = 2", value=value)

    learned = recall(ledger)()

    assert learned is not None
    assert learned.learned == 2
    assert [number for number, _ in ledger.outcomes.read()] == [1, 3]


@pytest.mark.parametrize("lesson", ["", "{}", "[]", "null", '{"offers": {"a/b": {}}}'])
def test_a_lesson_that_cannot_be_read_is_learned_again(tmp_path: Path, lesson: str) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    fill(ledger, 300)
    first = recall(ledger)()
    with ledger.database.writing() as transaction:
        transaction.change("UPDATE lessons SET lesson = :lesson", lesson=lesson)

    assert first is not None
    assert recall(ledger)() == first


def test_years_without_an_outcome_are_no_fault(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    fill(ledger, 3)
    late = f"UPDATE outcomes SET ended_at = ended_at + {3 * 365 * 86400} WHERE id > 1"
    with ledger.database.writing() as transaction:
        transaction.change(late)

    learned = recall(ledger, half_life_days=0.1)()

    assert learned is not None
    assert learned.learned == 3
