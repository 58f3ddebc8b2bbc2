"""Which part of a file a Range header means."""

import pytest
from starlette.exceptions import HTTPException

from media_agent.server.file_response import choose_ranges


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, None),
        ("bytes=0-9", "bytes=0-9"),
        ("bytes=5-", "bytes=5-99"),
        ("bytes=-10", "bytes=90-99"),
        ("bytes=-1000", "bytes=0-99"),
        ("bytes=90-1000", "bytes=90-99"),
        ("Bytes = 0-0, 50-59 ,-1", "bytes=0-0,50-59,99-99"),
        ("bytes=0-0,200-300", "bytes=0-0"),
        ("bytes=9-0", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("seconds=0-1", None),
        ("bytes=0-1,", "bytes=0-1"),
        (f"bytes={','.join(['0-0'] * 50)}", None),
        ("bytes=0-99999999999999999999", None),
    ],
)
def test_a_range_is_cut_to_the_file_or_ignored(header: str | None, chosen: str | None) -> None:
    assert choose_ranges(header, 100) == chosen


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=200-300,400-"])
def test_a_range_outside_of_the_file_cannot_be_met(header: str) -> None:
    with pytest.raises(HTTPException) as refused:
        choose_ranges(header, 100)

    assert refused.value.status_code == 416
    assert refused.value.headers == {"Content-Range": "bytes */100"}
