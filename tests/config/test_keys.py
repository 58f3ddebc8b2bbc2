"""Keys: of the settings, else of the usual variable, else stored; each to its own origin only."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.config.settings import Settings, load_settings
from media_agent.config.stored_keys import StoredKey, StoredKeys

SECRET, OTHER = "usual-key-0123456789", "stored-key-9876543210"
ELSEWHERE = "https://other.example/v1"


def make(settings: BackendSettings) -> VideoBackend:
    raise AssertionError("nobody makes it")


ACME = BackendSpec(
    "acme", make, key_variables=("ACME_KEY", "ACME_TOKEN"), key_origin="https://api.acme.example"
)


def settings(**section: object) -> Settings:
    return load_settings(backends={"acme": section}) if section else load_settings()


def key(of: Settings, name: str = "acme") -> SecretStr | None:
    return of.backend_settings(name, ACME).key


def test_settings_go_before_the_environment_and_that_before_what_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = key(settings())
    StoredKeys().set("acme", StoredKey(key=OTHER))
    stored = settings().find_key("acme", ACME)
    monkeypatch.setenv("ACME_TOKEN", SECRET)
    usual = settings().find_key("acme", ACME)

    assert nothing is None
    assert (stored.key, stored.source) == (SecretStr(OTHER), "the key stored for acme")
    assert (usual.key, usual.source) == (SecretStr(SECRET), "ACME_TOKEN from the environment")
    assert key(settings(key="named")) == SecretStr("named")
    assert key(settings(key_env="NOT_SET_ANYWHERE")) is None
    assert SECRET not in repr(usual) + repr(stored)


@pytest.mark.parametrize(
    ("base_url", "is_used"),
    [
        (None, True),
        ("https://api.acme.example/v2", True),
        ("https://API.acme.example:443/v1", True),
        ("http://api.acme.example/v1", False),
        ("https://api.acme.example.evil.example/v1", False),
        ("https://api.acme.example:8443/v1", False),
        ("http://127.0.0.1:9", False),
    ],
)
def test_a_usual_key_goes_to_its_provider_only(
    base_url: str | None, is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", SECRET)

    found = settings(base_url=base_url).backend_settings("acme", ACME)

    assert (found.key is not None) == is_used
    if not is_used:
        assert "ACME_KEY is set, but base_url names another server" in (found.missing_key() or "")


@pytest.mark.parametrize(("stored_for", "base_url"), [(None, ELSEWHERE), (ELSEWHERE, None)])
def test_a_stored_key_does_not_follow_to_another_server(
    stored_for: str | None, base_url: str | None
) -> None:
    StoredKeys().set("acme", StoredKey(key=OTHER, base_url=stored_for))

    assert key(settings(base_url=base_url, model="m")) is None
    assert key(settings(base_url=stored_for, model="m")) == SecretStr(OTHER)


def test_a_name_of_ones_own_takes_the_key_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    StoredKeys().set("acme", StoredKey(key=OTHER))
    own = load_settings(backends={"final": {"kind": "acme"}})

    before = key(own, "final")
    StoredKeys().set("final", StoredKey(key="final-key", base_url=ACME.key_origin))

    assert before == SecretStr(OTHER)
    assert key(load_settings(backends={"final": {"kind": "acme"}}), "final") == SecretStr(
        "final-key"
    )


def test_stored_keys_are_for_the_eyes_of_their_owner(caplog: pytest.LogCaptureFixture) -> None:
    keys = StoredKeys()
    keys.set("acme", StoredKey(key=OTHER))
    mode = stat.S_IMODE(keys.path.stat().st_mode)
    keys.read()
    quiet = caplog.text
    keys.path.chmod(0o644)

    keys.read()

    assert mode == 0o600
    assert quiet == ""
    assert "chmod 600" in caplog.text
    keys.set("b", StoredKey(key="x"))
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


def test_damaged_stored_keys_say_so_without_a_key_and_stop_nobody_else(tmp_path: Path) -> None:
    keys = StoredKeys()
    keys.set("acme", StoredKey(key=OTHER))
    keys.path.write_text(f'{{"keys": {{"acme": "{OTHER}"}}}}', encoding="utf-8")

    missing = settings().backend_settings("acme", ACME).missing_key()

    assert "keys.json cannot be read: it is damaged" in (missing or "")
    assert OTHER not in (missing or "")
    assert settings().backend_settings("sandbox").key is None


def test_a_usual_key_is_kept_out_of_what_a_service_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", SECRET)

    assert SecretStr(SECRET) in settings().backend_settings("acme", ACME).secrets
    assert SECRET not in str(settings().shown())


def test_the_missing_key_of_another_server_names_no_variable_that_would_not_be_used() -> None:
    elsewhere = settings(base_url=ELSEWHERE).backend_settings("acme", ACME).missing_key() or ""
    usual = settings(base_url=ACME.key_origin).backend_settings("acme", ACME).missing_key() or ""

    assert elsewhere.startswith("a key: run media-agent keys set acme, or set key_env or key_file")
    assert usual.startswith("a key: set ACME_KEY or ACME_TOKEN, ")


def test_the_missing_key_names_variable_command_and_file() -> None:
    said = settings().backend_settings("acme", ACME).missing_key("acme.example/keys") or ""

    assert said.startswith(
        "a key: set ACME_KEY or ACME_TOKEN, run media-agent keys set acme, or set key_env"
    )
    assert "or set key_env or key_file under [backends.acme] in /" in said
    assert said.endswith("none.toml; create a key at acme.example/keys")
