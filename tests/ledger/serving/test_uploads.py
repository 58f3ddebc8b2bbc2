"""Files that callers sent, as the ledger knows them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from media_agent.errors import InvalidRequestError, JobNotFoundError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.uploads import Upload

NOW = datetime.now(UTC)
FILE = Upload("file-1", "alice", "a.png", "vision", 10, "0" * 64, NOW)


def list_ids(ledger: Ledger, caller: str | None, after: str | None = None) -> list[str]:
    found = ledger.uploads.list(
        caller=caller, purpose=None, after=after, limit=10, oldest_first=False
    )
    return [each.id for each in found]


def test_a_caller_has_so_many_files_and_bytes_and_no_more(ledger: Ledger) -> None:
    ledger.uploads.add(FILE, most_files=2, most_bytes=25)

    with pytest.raises(InvalidRequestError, match="1 files"):
        ledger.uploads.add(replace(FILE, id="file-2"), most_files=1, most_bytes=25)
    with pytest.raises(InvalidRequestError, match="limit"):
        ledger.uploads.add(replace(FILE, id="file-2", size_bytes=16), most_files=2, most_bytes=25)

    ledger.uploads.add(replace(FILE, id="file-2", caller="bob"), most_files=1, most_bytes=25)
    assert (list_ids(ledger, "alice"), list_ids(ledger, "bob")) == (["file-1"], ["file-2"])
    assert list_ids(ledger, None) == ["file-2", "file-1"]


def test_an_expired_file_is_not_listed_and_is_named_to_be_removed(ledger: Ledger) -> None:
    old = replace(FILE, expires_at=NOW - timedelta(seconds=1))
    young = replace(FILE, id="file-2", expires_at=NOW + timedelta(hours=1))
    for each in (old, young):
        ledger.uploads.add(each, most_files=2, most_bytes=25)

    assert list_ids(ledger, "alice") == ["file-2"]
    assert [*ledger.uploads.expired()] == ["file-1"]
    assert ledger.uploads.find("file-2") == young
    assert (old.is_over(), young.is_over()) == (True, False)


def test_a_page_begins_behind_a_file_of_the_same_caller_only(ledger: Ledger) -> None:
    ledger.uploads.add(FILE, most_files=2, most_bytes=25)

    assert list_ids(ledger, "alice", "file-1") == []
    with pytest.raises(JobNotFoundError):
        list_ids(ledger, "bob", "file-1")
