"""Where a server may listen without keys."""

from datetime import UTC, datetime

import pytest

from media_agent.config.server_section import ServerSection
from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError
from media_agent.ledger.ledger import Ledger
from media_agent.server.access.bind import check_has_key, is_open_to_others
from media_agent.server.run import serve
from tests.server.access.conftest import NewKey


@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("::1", False),
        ("0.0.0.0", True),
        ("::", True),
        ("", True),
        ("192.168.1.5", True),
        ("video.example.com", True),
    ],
)
def test_all_but_this_machine_is_open_to_others(host: str, is_open: bool) -> None:
    assert is_open_to_others(ServerSection(), host) is is_open


def test_a_server_with_a_public_name_is_open_to_others_wherever_it_listens() -> None:
    section = ServerSection(public_url="https://video.example.com")

    assert is_open_to_others(section, "127.0.0.1")


def test_a_server_that_is_open_to_others_does_not_start_without_a_valid_key(
    ledger: Ledger, new_key: NewKey
) -> None:
    settings = load_settings()
    with pytest.raises(ConfigurationError) as error:
        serve(settings, host="0.0.0.0", port=0, say=print)
    assert "media-agent server-keys add" in str(error.value.hint)

    new_key()
    check_has_key(settings)

    ledger.api_keys.revoke(ledger.api_keys.list()[0].id, datetime.now(UTC))
    with pytest.raises(ConfigurationError):
        check_has_key(settings)
