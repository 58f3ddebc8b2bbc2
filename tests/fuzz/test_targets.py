"""A few odd inputs for each reader of what others write; `make fuzz` tries them for minutes."""

from pathlib import Path

import pytest

from tests.fuzz.rules import ruled
from tests.fuzz.targets import TARGETS, attempt

EXAMPLES = {"replies": 15, "configs": 25, "kept": 8, "media": 6}


@pytest.mark.parametrize("name", TARGETS)
def test_odd_input_breaks_no_rule(name: str, tmp_path: Path) -> None:
    with TARGETS[name](tmp_path) as example:
        attempt(example, examples=EXAMPLES[name])


def test_what_is_written_outside_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(inside))

    with pytest.raises(AssertionError, match="outside"), ruled(inside):
        outside.write_text("")
    with pytest.raises(AssertionError, match="outside"), ruled(inside):
        outside.unlink()
    with ruled(inside):
        (inside / "a").write_text("")


def test_a_secret_that_is_told_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a secret"), ruled(tmp_path, ["planted"]) as told:
        told.append("it is planted here")
