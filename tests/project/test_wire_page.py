"""The page of wire equality says what the recordings say."""

import pytest

from tests.project.test_documentation import load_tool


def test_the_page_of_wire_equality_is_current() -> None:
    tool = load_tool("wire_page")
    page = tool.PAGE.read_text("utf-8")

    assert "`runwayml` 5.24.0" in page
    assert tool.wire_page(page) == page, "run: make snapshots"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="lacks the marks"):
        load_tool("wire_page").wire_page("# A page\n")
