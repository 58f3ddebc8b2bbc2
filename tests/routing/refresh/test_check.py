"""Which files may take the place of the one in use."""

import datetime
import json
from pathlib import Path

import pytest

from media_agent.errors import ConfigurationError, InvalidRequestError
from media_agent.routing.refresh.check import check_update
from media_agent.routing.refresh.stored import StoredUpdate, UpdateStore
from tests.routing.refresh.signing import PUBLIC_KEY, sign

TODAY = datetime.date(2026, 11, 29)
NOW = datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC)


def file(date: str = "2026-11-28") -> bytes:
    return json.dumps({"date": date, "backends": {}}).encode()


def stored(folder: Path, date: str) -> StoredUpdate | None:
    store = UpdateStore(folder)
    store.put("https://example.com/a.json", file(date), sign(file(date)), NOW)
    return store.get()


def test_a_signed_file_is_taken_and_its_signature_may_be_text(tmp_path: Path) -> None:
    import base64

    for signature in (sign(file()), base64.encodebytes(sign(file()))):
        found = check_update(file(), signature, PUBLIC_KEY, known=None, today=TODAY)
        assert found.date == datetime.date(2026, 11, 28)


@pytest.mark.parametrize("signature", [b"", b"nonsense", sign(b"another file")])
def test_an_unsigned_file_is_never_taken(signature: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not signed with the key in the settings"):
        check_update(file(), signature, PUBLIC_KEY, known=None, today=TODAY)


def test_without_a_public_key_nothing_is_taken() -> None:
    with pytest.raises(ConfigurationError, match="no public key"):
        check_update(file(), sign(file()), None, known=None, today=TODAY)


def test_an_older_file_does_not_take_the_place_of_a_newer_one(tmp_path: Path) -> None:
    known, old = stored(tmp_path, "2026-11-28"), file("2026-11-27")

    with pytest.raises(InvalidRequestError, match=r"of 2026-11-27, and the one in use is of"):
        check_update(old, sign(old), PUBLIC_KEY, known=known, today=TODAY)


def test_a_file_from_the_future_would_block_all_later_ones(tmp_path: Path) -> None:
    ahead = file("2027-01-01")

    with pytest.raises(InvalidRequestError, match="which is to come"):
        check_update(ahead, sign(ahead), PUBLIC_KEY, known=None, today=TODAY)
