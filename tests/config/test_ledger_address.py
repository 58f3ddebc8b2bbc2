"""The address of a ledger on a server: taken from outside, shown without what is secret."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.config.ledger_address import passwords_in, shown_address
from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError

ADDRESS = "postgresql://media:pass%40word-1@db.example:5432/media?sslmode=require"


def test_it_is_set_by_a_variable_or_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "media-agent.toml"
    file.write_text(f'ledger = "{ADDRESS}"\n')

    of_file = load_settings(config=file).ledger
    monkeypatch.setenv("MEDIA_AGENT_LEDGER", ADDRESS.replace("media?", "other?"))
    of_variable = load_settings(config=file).ledger

    assert of_file is not None
    assert of_file.get_secret_value() == ADDRESS
    assert of_variable is not None
    assert of_variable.get_secret_value().endswith("/other?sslmode=require")


def test_what_is_shown_has_no_user_no_password_and_no_options() -> None:
    settings = load_settings(ledger=ADDRESS)

    shown = json.dumps(settings.shown())

    assert settings.shown()["ledger"] == "postgresql://db.example:5432/media"
    assert "pass" not in shown.replace("passes", "")
    assert "pass@word-1" not in repr(settings)
    assert settings.without_keys("it said pass@word-1, pass%40word-1") == "it said [key], [key]"


def test_a_password_is_found_wherever_it_stands() -> None:
    options = SecretStr("postgresql://h/d?user=u&password=in+the%2Doptions&sslpassword=of-a-key")

    assert set(passwords_in(SecretStr(ADDRESS))) == {"pass@word-1", "pass%40word-1"}
    assert set(passwords_in(options)) == {"in+the%2Doptions", "in+the-options", "of-a-key"}
    assert shown_address(options) == "postgresql://h/d"


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///ledger",
        "db.example",
        "postgresql://u:secret-word@h:port/d",
        "http://u:secret-word@h",
        "postgresql:u:secret-word@h",
        "postgresql://u:p@secret-word@h/d",
        "postgresql://u:12/secret-word@h/d",
        "postgresql://u:12?secret-word@h/d",
        "postgresql://u:12#secret-word@h/d",
        "postgresql://u:secret-word@h:99999/d",
        "postgresql://u:secret-word@h:0/d",
    ],
)
def test_another_address_is_refused_and_not_shown(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_LEDGER", address)

    with pytest.raises(ConfigurationError, match=r"MEDIA_AGENT_LEDGER: .*postgresql://") as caught:
        load_settings()

    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            "postgresql://u:p@h1:1,h2:2/d?target_session_attrs=read-write",
            "postgresql://h1:1,h2:2/d",
        ),
        ("postgresql://u:a:b+c!@[::1]:5432/d?sslrootcert=/etc/ca.pem", "postgresql://[::1]:5432/d"),
        ("postgres://%2Frun%2Fpostgresql/d", "postgres://%2Frun%2Fpostgresql/d"),
        ("postgresql://?service=media", "postgresql://"),
    ],
)
def test_what_libpq_understands_is_an_address(address: str, shown: str) -> None:
    assert load_settings(ledger=address).shown()["ledger"] == shown
