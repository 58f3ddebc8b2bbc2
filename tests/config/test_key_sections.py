"""Several keys of one backend in the settings: where each is, and that none is shown."""

import json
from pathlib import Path

import pytest

from media_agent.config.settings import Settings, load_settings
from media_agent.errors import ConfigurationError
from media_agent.registry.registry import Registry
from media_agent.setup.check import check

TOML = """
[backends.fal.keys.team]
key_env = "TEAM_KEY"
requests_per_minute = 30
concurrent = 2

[backends.fal.keys.spare]
key_file = "spare.key"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("TEAM_KEY", "team-key-0123456789")
    spare = tmp_path / "spare.key"
    spare.write_text("spare-key-0123456789\n")
    spare.chmod(0o600)
    return tmp_path


def written(folder: Path, toml: str = TOML) -> Settings:
    (folder / "settings.toml").write_text(toml)
    return load_settings()


def test_each_key_has_its_name_and_its_limits_in_the_order_of_the_file(folder: Path) -> None:
    settings = written(folder).backend_settings("fal", Registry.discover().spec("fal"))

    assert [(each.name, each.requests_per_minute, each.concurrent) for each in settings.keys] == [
        ("team", 30.0, 2),
        ("spare", None, None),
    ]
    said = [each.key.get_secret_value() for each in settings.keys if each.key is not None]
    assert said == ["team-key-0123456789", "spare-key-0123456789"]
    assert settings.key == settings.keys[0].key


def test_no_key_of_several_is_shown_anywhere(folder: Path) -> None:
    settings = written(folder, TOML + '[backends.fal.keys.third]\nkey = "third-key-0123456789"\n')

    shown = json.dumps(settings.shown()) + repr(settings)

    assert "key-0123456789" not in shown
    for name in ("team", "spare", "third"):
        assert settings.without_keys(f"{name}-key-0123456789") != f"{name}-key-0123456789"


def test_programs_do_not_get_the_variables_of_several_keys(folder: Path) -> None:
    assert "TEAM_KEY" not in written(folder).build_environment()


def test_a_key_without_a_place_is_the_usual_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "usual-key-0123456789")
    settings = written(folder, "[backends.fal.keys.mine]\nconcurrent = 1\n")

    (mine,) = settings.backend_settings("fal", Registry.discover().spec("fal")).keys

    assert mine.key is not None
    assert mine.key.get_secret_value() == "usual-key-0123456789"


def test_a_key_and_several_keys_exclude_each_other(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="a section with keys cannot also have key"):
        written(folder, TOML + '[backends.fal]\nkey_env = "FAL_KEY"\n')


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("requests_per_minute = 0", "requests_per_minute: it should be greater than 0"),
        ("concurrent = 0", "concurrent: it should be greater than or equal to 1"),
        ("per_minute = 3", "unknown key; did you mean requests_per_minute?"),
    ],
)
def test_a_wrong_limit_is_named_with_its_line(folder: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        written(folder, f"[backends.fal.keys.team]\n{line}\n")

    assert f"settings.toml:2: backends.fal.keys.team.{line.partition(' ')[0]}" in str(caught.value)
    assert said.partition(": ")[2] in str(caught.value)


def test_a_backend_that_takes_one_key_refuses_several(folder: Path) -> None:
    written(folder, '[backends.sandbox.keys.one]\nkey_env = "TEAM_KEY"\n')

    (finding,) = [each for each in check().findings if each.is_fault]

    assert "backends.sandbox.keys: sandbox takes one key, not several" in finding.text


def test_a_missing_variable_is_found_before_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEAM_KEY")
    written(folder)

    (finding,) = [each for each in check().findings if each.is_fault]

    assert "backends.fal.keys.team.key_env: the variable TEAM_KEY is not set" in finding.text
