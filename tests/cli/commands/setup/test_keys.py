"""The commands about keys, and where else their origin is said."""

import io
import json
import sys

import pytest

from media_agent.cli import main
from media_agent.config.stored_keys import StoredKeys
from media_agent_hosted.plugin import provider_specs
from media_agent_hosted.providers.fal.simulator import FalSimulator

SECRET = "stored-key-9876543210"


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    assert main(["keys", "set", "fal"]) == 0
    return "".join(capfd.readouterr())


def test_a_key_is_stored_listed_and_removed_and_never_shown(
    stored: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "list"]) == 0
    assert main(["config", "show"]) == 0
    shown = capfd.readouterr().out
    assert main(["keys", "rm", "fal"]) == 0
    assert main(["keys", "list"]) == 0
    assert main(["keys", "rm", "fal"]) == 2

    assert "keys.json" in stored
    assert "fal      the key stored for fal  yes" in shown
    assert 'backends.fal.key = "[key]" (the key stored for fal)' in shown
    assert "no keys yet" in capfd.readouterr().out
    assert SECRET not in stored + shown


def test_a_variable_goes_before_a_stored_key_and_both_are_listed(
    stored: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAL_KEY", "usual-key-0123456789")

    assert main(["keys", "list", "--json"]) == 0

    assert json.loads(capfd.readouterr().out)["data"] == [
        {"name": "fal", "from": "FAL_KEY from the environment", "used": True},
        {"name": "fal", "from": "the key stored for fal", "used": False},
    ]


@pytest.mark.parametrize(
    ("name", "typed"),
    [("fal", ""), ("fal", "a\nb"), ("nobody", "k"), ("sk-proj4Xy9Zz8Qq7Ww6", "k")],
)
def test_what_is_no_key_or_no_backend_is_refused_and_not_repeated(
    name: str, typed: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))

    assert main(["keys", "set", name]) == 2

    assert "sk-proj4" not in capfd.readouterr().err
    assert not StoredKeys().path.exists()


def test_a_key_of_the_environment_is_said_once_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "usual-key-0123456789"
    with FalSimulator() as simulator:
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", simulator.url)
        monkeypatch.setattr(sys, "stdin", io.StringIO(key))
        assert main(["keys", "set", "fal"]) == 0
        made = main(["generate", "a fox", "--backend", "fal/fal-ai/magi", "--out", "a.mp4"])

    said = capfd.readouterr()
    assert made == 0
    assert said.err.count("using the key stored for fal") == 1
    assert "price: about" in said.err
    assert key not in said.out + said.err


def test_every_provider_names_its_usual_variables_and_where_they_may_go() -> None:
    from media_agent.storage.addresses import parsed_address

    for spec in provider_specs():
        if spec.needs_section:  # a server of one's own, which its section names with its key
            continue
        assert spec.key_variables, spec.name
        assert parsed_address(spec.key_origin or "") is not None, spec.name


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "set", "fal", SECRET],
        ["keys", "set", "fal", f"--key={SECRET}"],
        ["keys", "set", "fal", "--key", SECRET],
        ["keys", "rm", "fal", SECRET],
        ["keys", SECRET],
        ["generate", "a cat", "--key", "sk-proj4Xy9Zz8Qq7Ww6", "--json"],
    ],
)
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2

    said = "".join(capfd.readouterr())
    assert SECRET not in said
    assert "sk-proj" not in said
    assert "--help" in said


@pytest.mark.usefixtures("stored")
def test_a_stored_key_does_not_follow_its_name_to_another_provider(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KIND", "xai")
    assert main(["keys", "list", "--json"]) == 0
    (other,) = json.loads(capfd.readouterr().out)["data"]

    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KIND", "fal")
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", "https://queue.fal.run/")
    assert main(["keys", "list", "--json"]) == 0
    (own,) = json.loads(capfd.readouterr().out)["data"]

    assert (other["name"], other["used"]) == ("fal", False)
    assert (own["name"], own["used"]) == ("fal", True)
