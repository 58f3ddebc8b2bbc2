"""No regular expression of ours has a possessive group: Python 3.11.2 matches those wrongly."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("media_agent", "schemas", "backends", "adapters", "tools")


def find(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if re.search(r"(?<!\\)\)([*+?]|\{\d*,?\d*\})\+", text):
                yield text


def test_such_a_group_would_be_found() -> None:
    assert list(find("a = r'(?:x|y)*+'")) == ["(?:x|y)*+"]
    assert list(find("a = rb'[xy]++(?>(?:x)*)'")) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_expression_has_one(folder: str) -> None:
    found = [
        text for path in (ROOT / folder).rglob("*.py") for text in find(path.read_text("utf-8"))
    ]

    assert found == []
