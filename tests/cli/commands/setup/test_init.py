"""The command that writes the first settings file."""

import json
from pathlib import Path

import pytest

from media_agent.cli import main

SECRET = "sk-very-secret-4711"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MEDIA_AGENT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("FAL_KEY", SECRET)
    return tmp_path


def test_a_file_is_written_that_works_and_the_next_command_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init"]) == 0
    said = capsys.readouterr().out
    assert main(["config", "check"]) == 0

    file = folder / "media-agent.toml"
    assert said.splitlines()[-1].startswith("next: media-agent generate ")
    assert said.count("next: ") == 1
    assert "FAL_KEY" in said
    assert SECRET not in said + file.read_text()
    assert "key_env" not in file.read_text()
    capsys.readouterr()
    assert main(["keys", "list", "--json"]) == 0
    keys = json.loads(capsys.readouterr().out)["data"]
    assert [(key["name"], key["from"], key["used"]) for key in keys] == [
        (name, "FAL_KEY from the environment", True) for name in ("fal", "final")
    ]


def test_the_next_command_makes_a_video(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["init"]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    prompt = command.partition('"')[2].rstrip('"')

    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")  # whatever weights are here
    assert main(["generate", prompt, "--duration", "0.2", "--size", "64x64"]) == 0

    assert list((folder / "out").glob("*.mp4")) != []


def test_a_file_that_exists_is_replaced_only_on_demand(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "media-agent.toml"
    file.write_text("policy = 'a fault'")

    assert main(["init"]) == 2
    assert "--force" in capsys.readouterr().err
    assert file.read_text() == "policy = 'a fault'"

    assert main(["init", "--force"]) == 0
    assert "default_backend" in file.read_text()


def test_the_users_own_file_can_be_written(folder: Path) -> None:
    assert main(["init", "--user"]) == 0

    assert (folder / "user" / "media-agent" / "config.toml").is_file()
    assert not (folder / "media-agent.toml").exists()


def test_a_file_that_will_not_be_read_is_warned_of(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(folder / "other.toml"))

    assert main(["init"]) == 0

    assert "MEDIA_AGENT_CONFIG" in capsys.readouterr().out
