"""Each line of the threat model names a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")


def test_each_line_of_the_threat_model_names_a_test_that_exists() -> None:
    table = PAGE.partition("| boundary | threat |")[2].partition("\n\n")[0]
    lines = [line for line in table.splitlines()[2:] if line.startswith("|")]
    named = [re.search(r"`(tests/\S+\.py)::(test_\w+)` \|$", line) for line in lines]

    missing = [
        line
        for line, test in zip(lines, named, strict=True)
        if test is None or test[2] not in _tests_of(ROOT / test[1])
    ]

    assert len(lines) > 30
    assert missing == []


def _tests_of(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    found = ast.walk(ast.parse(path.read_text("utf-8")))
    return {each.name for each in found if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
