"""The page of the server names every route as the server describes it."""

import pytest

from tests.project.test_documentation import load_tool


def test_the_routes_on_the_page_are_those_of_the_server() -> None:
    tool = load_tool("server_page")
    page = tool.PAGE.read_text("utf-8")

    assert "`POST /v1/jobs/{job_id}/steer`" in page
    assert tool.server_page(page) == page, "run: make snapshots"


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="lacks the marks"):
        load_tool("server_page").server_page("# A page\n")
