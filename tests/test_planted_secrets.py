"""Keys planted in every place that may hold one are told by no command, log, event, record or file.

What keeps them by design stands apart: the settings, the stored keys, key files. What callers of a
server send is tried in `tests/server/access/test_jobs.py`, what each provider says back in the
conformance suite and in `tests/fuzz/replies.py`.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.config.stored_keys import StoredKey, StoredKeys
from media_agent.testing.simulator.faults import Fault
from media_agent_hosted.providers.fal.simulator import FalSimulator

PLACES = ("section", "variable", "file", "team", "stored", "fal", "webhook", "server")
PLANTED = {place: f"{place}-0f3a:Ab+/Cd9==x{number}" for number, place in enumerate(PLACES)}
SIGNATURE = "5f3c0123456789abcdef5f3c0123456789abcdef"
BACKENDS = ("section", "variable", "file", "team", "stored", "fal")

SETTINGS = """
confirm_above_usd = 100
[backends.section]
kind = "fal"
key = "{section}"
[backends.variable]
kind = "fal"
key_env = "LC_PLANTED"
[backends.file]
kind = "fal"
key_file = "file.key"
[backends.team]
kind = "fal"
[backends.team.keys.one]
key = "{team}"
[backends.stored]
kind = "fal"
[backends.fal]
[server.webhooks.shop]
url = "https://shop.example/hook"
key = "{webhook}"
[server.callbacks.fal]
key = "{server}"
"""


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FalSimulator]:
    """Plant the keys, and yield the service that all backends ask."""
    folder = tmp_path / "kept by design"
    folder.mkdir()
    texts = {place: key.replace('"', "") for place, key in PLANTED.items()}
    with FalSimulator() as simulator:
        text = SETTINGS.format(**texts)
        options = f'base_url = "{simulator.url}"\noptions = {{poll_seconds = 0.01}}'
        (folder / "a.toml").write_text(text.replace('kind = "fal"', f'kind = "fal"\n{options}'))
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", simulator.url)
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__OPTIONS", '{"poll_seconds": 0.01}')
        monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(folder / "a.toml"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
        monkeypatch.setenv("LC_PLANTED", PLANTED["variable"])
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEY", PLANTED["fal"])
        (folder / "file.key").write_text(PLANTED["file"])
        (folder / "file.key").chmod(0o600)
        stored = StoredKey(key=PLANTED["stored"], base_url=simulator.url)
        StoredKeys().set("stored", stored)
        yield simulator


def find_told(told: str) -> list[str]:
    """Return the places whose key is in a text."""
    return [place for place, key in PLANTED.items() if key in told or key.partition(":")[2] in told]


def find_kept(folder: Path) -> list[str]:
    """Return the files below a folder that hold a planted key, but for those that should."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        f"{path.name}: {find_told(text)}"
        for path in files
        if "kept by design" not in path.parts
        and find_told(text := path.read_bytes().decode("latin-1"))
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_service_that_says_the_key_back_is_repeated_without_it(
    backend: str,
    simulator: FalSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    image = f"https://images.example/a.png?X-Amz-Signature={SIGNATURE}"
    make = ["generate", "a fox", "--backend", backend, "--duration", "5"]

    simulator.inject(Fault("submit", "echo", status=400))
    refused = main([*make, "--out", "a.mp4"])
    simulator.inject(Fault("status", "echo", status=500))
    done = main([*make, "--out", "b.mp4", "--overwrite", "--json"])
    make[3] = f"{backend}/fal-ai/wan/v2.7/image-to-video"
    with_image = main([*make, "--out", "c.mp4", "--first-frame", image, "--json"])
    for command in (["jobs", "list", "--json"], ["jobs", "show", "last", "--json"], ["costs"]):
        assert main(command) == 0

    said = capfd.readouterr()
    sent = {value for call in simulator.requests for value in call.headers.values()}
    assert (refused != 0, done, with_image) == (True, 0, 0), said.err
    assert any(PLANTED[backend] in each for each in sent)
    assert find_told(said.out + said.err + caplog.text) == []
    assert find_kept(tmp_path) == []
    assert SIGNATURE not in said.err + caplog.text


def test_no_command_that_shows_settings_shows_a_key(
    simulator: FalSimulator,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    commands = (
        ["config", "show"],
        ["config", "show", "--json"],
        ["config", "check", "--json"],
        ["doctor", "--json"],
        ["keys", "list"],
        ["keys", "list", "--json"],
        ["backends", "section"],
        ["plan", "a fox", "--backend", "variable", "--json"],
        ["server-keys", "list"],
        ["webhooks", "list"],
    )

    for command in commands:
        main(command)

    said = capfd.readouterr()
    assert "section" in said.out
    assert find_told(said.out + said.err + caplog.text) == []
    assert find_kept(tmp_path) == []


def test_settings_that_are_wrong_are_told_without_the_keys_in_them(
    simulator: FalSimulator,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "kept by design" / "a.toml"
    sound = path.read_text()
    for wrong in (
        sound.replace(f'key = "{PLANTED["section"]}"', f'ky = "{PLANTED["section"]}"'),
        sound.replace(f'"{PLANTED["section"]}"', f'["{PLANTED["section"]}"]'),
        sound.replace(f'"{PLANTED["team"]}"', f'"{PLANTED["team"]}'),
    ):
        path.write_text(wrong)
        for command in (["config", "check"], ["config", "show"], ["generate", "a fox"]):
            main(command)
    path.write_text(sound)
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL", json.dumps({"key": [PLANTED["fal"]]}))
    main(["config", "check"])

    said = capfd.readouterr()
    assert "ky" in said.out + said.err
    assert find_told(said.out + said.err) == []
