"""Settings: argument > environment > file > default, and a malformed value is named."""

from pathlib import Path

import pytest

from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of our own, with a settings file that does not exist yet."""
    monkeypatch.delenv("MEDIA_AGENT_DATA_DIR")
    path = tmp_path / "config.toml"
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(path))
    return path


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings()

    assert settings.default_backend == "magi/tiny"
    assert settings.data_dir.name == "media-agent"


def test_the_stronger_source_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('default_backend = "from-file"')
    assert load_settings().default_backend == "from-file"

    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "from-environment")
    assert load_settings().default_backend == "from-environment"

    assert load_settings(default_backend="from-argument").default_backend == "from-argument"


def test_the_data_folder_can_be_moved_and_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDIA_AGENT_DATA_DIR", "here")

    settings = load_settings()

    assert settings.data_dir == settings.backend_settings("magi").data_dir == tmp_path / "here"
    assert load_settings(data_dir=Path("~/videos")).data_dir == Path.home() / "videos"


def test_a_backend_gets_its_own_section_only(file: Path) -> None:
    file.write_text(
        '[backends.fal]\nkey = "k-123"\nbase_url = "https://fal.test"\noptions = {tries = 3}\n'
    )

    settings = load_settings()

    fal = settings.backend_settings("fal")
    assert fal.key is not None
    assert fal.key.get_secret_value() == "k-123"
    assert (fal.base_url, dict(fal.options)) == ("https://fal.test", {"tries": 3})
    assert settings.backend_settings("magi").key is None


def test_a_backend_is_told_why_it_has_no_key(file: Path) -> None:
    file.write_text('[backends.fal]\nkey_env = "NO_SUCH_KEY"\n')

    fal = load_settings().backend_settings("fal")

    assert (fal.key, fal.key_problem) == (None, "the variable NO_SUCH_KEY is not set")


def test_a_section_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEY", "k-456")

    key = load_settings().backend_settings("fal").key

    assert key is not None
    assert key.get_secret_value() == "k-456"


def test_a_key_does_not_show_when_settings_are_printed(file: Path) -> None:
    file.write_text('[backends.fal]\nkey = "k-123"\n')

    assert "k-123" not in repr(load_settings())


def test_a_malformed_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "")

    with pytest.raises(ConfigurationError, match="MEDIA_AGENT_DEFAULT_BACKEND"):
        load_settings()


def test_a_malformed_section_is_named_without_its_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEEY", "k-789")

    with pytest.raises(ConfigurationError, match="MEDIA_AGENT_BACKENDS__FAL__KEEY") as caught:
        load_settings()

    assert "k-789" not in str(caught.value)


def test_a_variable_that_is_not_json_where_it_must_be_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS", "{k-789")

    with pytest.raises(ConfigurationError, match="backends") as caught:
        load_settings()

    assert "k-789" not in str(caught.value)


@pytest.mark.parametrize("text", ["default_backend = ", "nonsense = 1"])
def test_a_malformed_file_is_an_error(file: Path, text: str) -> None:
    file.write_text(text)

    with pytest.raises(ConfigurationError):
        load_settings()
