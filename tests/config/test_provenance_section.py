"""The settings of signatures: where the key is, and that nobody sees it."""

from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError
from tests.provenance.c2pa.signed_videos import certificate_of


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings" / "media-agent.toml"
    path.parent.mkdir()
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(path))
    monkeypatch.delenv("MEDIA_AGENT_PROVENANCE__SIGN")
    return path


def test_videos_are_signed_if_that_is_possible_unless_the_settings_say_otherwise(
    file: Path,
) -> None:
    assert load_settings().signing().policy == "try"


def test_paths_count_from_the_folder_of_the_file(file: Path) -> None:
    file.write_text(
        '[provenance]\ncertificate = "c.pem"\nkey_file = "k.pem"\ntrust_anchors = ["r.pem"]\n'
    )

    section = load_settings().provenance

    assert section.certificate == file.parent / "c.pem"
    assert section.key_file == file.parent / "k.pem"
    assert section.trust_anchors == (file.parent / "r.pem",)


def test_no_line_of_the_key_is_shown(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = certificate_of(tmp_path)
    text = key.get_secret_value()
    file.write_text(f"[provenance]\ncertificate = '{certificate}'\nkey = '''\n{text}'''\n")
    settings = load_settings()

    main(["config", "show"])
    said = capsys.readouterr().out + repr(settings) + str(settings.shown())

    lines = [line for line in text.splitlines() if line and not line.startswith("-----")]
    assert lines
    assert not any(line in said for line in lines)
    assert settings.without_keys(f"it said {lines[0]}") != f"it said {lines[0]}"


@pytest.mark.parametrize(
    "line",
    [
        'sign = "always"',
        'callback = "no-colon"',
        'timestamp_url = "ftp://example.com"',
        'unknown = "x"',
    ],
)
def test_a_malformed_value_is_an_error_that_names_it(file: Path, line: str) -> None:
    file.write_text(f"[provenance]\n{line}\n")

    with pytest.raises(ConfigurationError, match=rf"provenance\.{line.partition(' ')[0]}"):
        load_settings()


def test_a_key_file_that_is_not_there_is_found_by_the_check(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('[provenance]\nkey_file = "gone.pem"\n')

    assert main(["config", "check"]) != 0
    assert "gone.pem" in capsys.readouterr().out
