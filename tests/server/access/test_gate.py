"""Who gets in, as whom, and who does not."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from media_agent.ledger.ledger import Ledger
from media_agent.server.access import keyring
from media_agent.server.access.gate import scope_of
from tests.server.access.conftest import NewKey, bearer

pytestmark = pytest.mark.anyio


async def test_without_any_key_this_machine_may_do_all(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/probe")

    assert reply.json() == {"name": "local", "is_remote": False, "sees_all": True}


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
async def test_a_key_is_its_owner(http: httpx.AsyncClient, new_key: NewKey, header: str) -> None:
    secret = new_key()
    value = f"bearer {secret}" if header == "Authorization" else secret

    reply = await http.post("/v1/probe", headers={header: value})

    assert reply.json() == {"name": "alice", "is_remote": True, "sees_all": False}


async def test_as_soon_as_there_is_a_key_nobody_gets_in_without_one(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    new_key()

    reply = await http.get("/v1/probe")

    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.json()["error"]["type"] == "authentication_error"
    assert reply.json()["media_agent"]["code"] == "authentication"


async def test_a_call_with_the_first_key_is_its_owners_also_right_after_one_without(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    before = await http.get("/v1/probe")

    reply = await http.get("/v1/probe", headers=bearer(new_key()))

    assert (before.json()["name"], reply.json()["name"]) == ("local", "alice")


async def test_a_server_that_others_reach_lets_nobody_in_as_long_as_there_is_no_key(
    app: FastAPI, http: httpx.AsyncClient
) -> None:
    app.state.context.access.needs_keys = True

    assert (await http.get("/v1/probe")).status_code == 401


async def test_a_server_that_had_a_key_is_not_opened_by_removing_it(
    http: httpx.AsyncClient, ledger: Ledger, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)
    new_key()
    assert (await http.get("/v1/probe")).status_code == 401

    ledger.api_keys.remove(ledger.api_keys.list()[0].id)

    assert (await http.get("/v1/probe")).status_code == 401


async def test_a_wrong_a_foreign_and_a_malformed_key_are_refused_alike_and_not_repeated(
    http: httpx.AsyncClient, new_key: NewKey, caplog: pytest.LogCaptureFixture
) -> None:
    secret = new_key()
    wrong = [secret[:-1] + ("A" if secret[-1] != "A" else "B"), "sk-ma-0123456789ab-x", "sk-1", "é"]

    replies = [await http.get("/v1/probe", headers={"x-api-key": each.encode()}) for each in wrong]

    assert {reply.status_code for reply in replies} == {401}
    assert len({reply.text for reply in replies}) == 1
    assert not any(each in replies[0].text + caplog.text for each in wrong)


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_key_that_is_over_is_refused_within_seconds(
    http: httpx.AsyncClient,
    ledger: Ledger,
    new_key: NewKey,
    end: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = datetime.now(UTC)
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)
    secret = new_key(expires_at=now - timedelta(seconds=1) if end == "expired" else None)
    if end == "revoked":
        assert (await http.get("/v1/probe", headers=bearer(secret))).status_code == 200
        ledger.api_keys.revoke(ledger.api_keys.list()[0].id, now)

    assert (await http.get("/v1/probe", headers=bearer(secret))).status_code == 401


async def test_a_second_key_of_an_owner_takes_the_place_of_the_first(
    http: httpx.AsyncClient, ledger: Ledger, new_key: NewKey
) -> None:
    old, new = new_key(), new_key()
    ledger.api_keys.revoke(ledger.api_keys.list()[0].id, datetime.now(UTC))

    names = [(await http.get("/v1/probe", headers=bearer(each))).json() for each in (old, new)]

    assert names[0]["media_agent"]["code"] == "authentication"
    assert names[1]["name"] == "alice"


async def test_scopes_follow_the_method(http: httpx.AsyncClient, new_key: NewKey) -> None:
    reader = bearer(new_key(scopes=frozenset({"videos:read"})))
    writer = bearer(new_key(scopes=frozenset({"videos:write"})))
    boss = bearer(new_key(scopes=frozenset({"admin"})))

    allowed = [
        (await http.request(method, "/v1/probe", headers=key)).status_code
        for key in (reader, writer, boss)
        for method in ("GET", "POST")
    ]

    assert allowed == [200, 403, 403, 200, 200, 200]
    refused = await http.post("/v1/probe", headers=reader)
    assert refused.json()["media_agent"]["code"] == "forbidden"
    assert (await http.get("/v1/probe", headers=boss)).json()["sees_all"] is True


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("DELETE", "/v1/videos/1", "videos:write"),
        ("HEAD", "/v1/videos/1/content", "videos:read"),
        ("PUT", "/v1/nothing", "videos:write"),
        ("POST", "/v1/plan", "videos:read"),
        ("POST", "/v1/jobs/1/extend/plan", "videos:read"),
        ("POST", "/v1/jobs/1/extend", "videos:write"),
        ("GET", "/metrics", "admin"),
        ("POST", "/v1/admin/reload", "admin"),
        ("POST", "/mcp/", None),
    ],
)
def test_what_a_call_needs(method: str, path: str, scope: str | None) -> None:
    assert scope_of(method, path) == scope


async def test_paths_that_no_route_has_need_a_key_too(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    new_key()

    assert (await http.get("/v1/nothing")).status_code == 401
    assert (await http.get("/assets/../v1/probe")).status_code in (401, 404)
    assert (await http.get("/")).status_code == 200


async def test_the_last_use_of_a_key_is_kept_roughly(
    http: httpx.AsyncClient, ledger: Ledger, new_key: NewKey
) -> None:
    secret = new_key()
    await http.get("/v1/probe", headers=bearer(secret))
    first = ledger.api_keys.list()[0].last_used_at

    await http.get("/v1/probe", headers=bearer(secret))

    assert first is not None
    assert ledger.api_keys.list()[0].last_used_at == first


async def test_calls_read_no_key_from_the_ledger_for_seconds(
    app: FastAPI, http: httpx.AsyncClient, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = bearer(new_key())
    await http.get("/v1/probe", headers=headers)

    async def read(look: object) -> None:
        raise AssertionError("the ledger was read")

    monkeypatch.setattr(app.state.context.host, "read", read)

    assert (await http.get("/v1/probe", headers=headers)).status_code == 200


async def test_a_key_that_calls_too_often_is_told_when_to_come_again(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    headers, other = bearer(new_key(requests_per_minute=2)), bearer(new_key(owner="bob"))

    replies = [await http.get("/v1/probe", headers=headers) for _ in range(3)]

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    told = replies[1].headers
    assert told["x-ratelimit-limit-requests"] == "2"
    assert told["x-ratelimit-remaining-requests"] == "0"
    assert told["x-ratelimit-reset-requests"].endswith("s")
    assert 1 <= int(replies[2].headers["Retry-After"]) <= 60
    assert replies[2].json()["error"]["type"] == "rate_limit_error"
    assert replies[2].json()["media_agent"]["retryable"] is True
    assert (await http.get("/v1/probe", headers=other)).status_code == 200


async def test_an_address_that_guesses_keys_is_held_up_and_a_valid_key_is_not(
    http: httpx.AsyncClient, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "PAUSE_SECONDS", 0.0)
    secret = new_key()

    guesses = [
        (await http.get("/v1/probe", headers=bearer("sk-ma-1-2"))).status_code for _ in range(22)
    ]

    assert guesses[:20] == [401] * 20
    assert guesses[20:] == [429] * 2
    assert (await http.get("/v1/probe", headers=bearer(secret))).status_code == 200
