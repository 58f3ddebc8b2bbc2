"""The page on Python says what the docstrings say."""

import media_agent
from tests.project.test_documentation import REFERENCE, load_tool

PAGE = REFERENCE / "python.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == load_tool("python_reference").python_page(), "make snapshots"


def test_every_public_name_and_method_is_on_it() -> None:
    page = PAGE.read_text("utf-8")
    methods = [name for name in vars(media_agent.VideoClient) if not name.startswith("_")]

    missing = [name for name in media_agent.__all__ if f"`{name}" not in page]

    assert missing == []
    assert [name for name in methods if f"{name}(" not in page] == []


def test_where_events_are_heard_is_shown() -> None:
    page = PAGE.read_text("utf-8")

    assert 'client.generate(VideoRequest(prompt="a red circle"), on_event=show)' in page
