"""What is nested too deep is cut out of JSON while it comes, wherever the pieces of it end."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from media_agent_hosted.http.shallow import Shallow

TEXTS = some.text(some.sampled_from('ab"\\{}[]:, \n\u00e9'), max_size=6)
PLAIN = some.none() | some.booleans() | some.integers(-9, 9) | TEXTS
NESTED = some.recursive(
    PLAIN, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3)
)


def cut(value: object, levels: int) -> object:
    """Cut a value as its text is cut."""
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        return None
    if isinstance(value, list):
        return [cut(each, levels - 1) for each in value]
    return {name: cut(each, levels - 1) for name, each in value.items()}


@given(value=NESTED, levels=some.integers(1, 4), size=some.integers(1, 9), escaped=some.booleans())
def test_what_is_deeper_becomes_null_and_all_else_stays(
    value: object, levels: int, size: int, escaped: bool
) -> None:
    text = json.dumps(value, ensure_ascii=escaped).encode()
    shallow = Shallow(levels)

    kept = b"".join(shallow.feed(text[at : at + size]) for at in range(0, len(text), size))

    assert json.loads(kept) == cut(value, levels)


@pytest.mark.parametrize("text", ["}}]]", '"never closed', '{"a": [[', '"\\', ""])
def test_text_that_is_no_json_is_no_error(text: str) -> None:
    Shallow(1).feed(text.encode())
