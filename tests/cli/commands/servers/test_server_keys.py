"""The commands about the API keys of callers."""

import json

import pytest

from media_agent.cli import main

Read = pytest.CaptureFixture[str]


def read(capfd: Read, *words: str) -> str:
    assert main(["server-keys", *words]) == 0
    return capfd.readouterr().out.strip()


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(capfd: Read) -> None:
    secret = read(capfd, "add", "alice", "--budget-per-day", "2.5", "--rpm", "60")
    (key_id,) = {part for part in secret.split("-") if len(part) == 12 and part.isalnum()}

    listed = read(capfd, "list")
    read(capfd, "revoke", secret)
    revoked = read(capfd, "list")
    read(capfd, "rm", key_id)

    assert secret.startswith("sk-ma-")
    assert secret not in listed
    assert listed.splitlines()[1].split() == [
        *(
            key_id,
            "alice",
            "valid",
            "videos:read",
            "videos:write",
            "2.5",
            "-",
            "-",
            "60",
            "-",
            "-",
            "never",
        )
    ]
    assert " revoked " in revoked
    assert "no keys yet" in read(capfd, "list")


def test_programs_get_json(capfd: Read) -> None:
    options = ("--scope", "videos:read", "--concurrent", "2", "--expires", "90d", "--json")
    made = json.loads(read(capfd, "add", "bob", *options))
    (listed,) = json.loads(read(capfd, "list", "--json"))["data"]

    secret = made.pop("key")
    assert made == listed
    assert listed["scopes"] == ["videos:read"]
    assert listed["concurrent_jobs"] == 2
    assert listed["expires_at"] > listed["created_at"]
    assert made["id"] in secret


def test_a_key_names_policies_of_the_settings(capfd: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_POLICIES", '{"kids": {"for_all": false}, "consent": {}}')

    read(capfd, "add", "school", "--policy", "kids", "--policy", "consent")

    (listed,) = json.loads(read(capfd, "list", "--json"))["data"]
    assert listed["policies"] == ["consent", "kids"]
    assert " consent kids " in read(capfd, "list")


@pytest.mark.parametrize(
    "words",
    [
        ("add", "local"),
        ("add", "a b"),
        ("add", "alice", "--scope", "all"),
        ("add", "alice", "--budget-per-day", "x"),
        ("add", "alice", "--budget-total", "-1"),
        ("add", "alice", "--rpm", "0"),
        ("add", "alice", "--expires", "2020-01-01"),
        ("add", "alice", "--expires", "soon"),
        ("add", "alice", "--policy", "nowhere"),
        ("revoke", "none"),
        ("revoke", "sk-ma-0123456789ab-Ab3dEf6hIj9lMn2pQr5tUv8x"),
        ("rm", "none"),
    ],
)
def test_what_makes_no_sense_is_refused_and_a_key_is_not_repeated(
    words: tuple[str, ...], capfd: Read
) -> None:
    assert main(["server-keys", *words]) == 2

    assert "Ab3dEf6hIj9l" not in "".join(capfd.readouterr())
