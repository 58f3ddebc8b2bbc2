"""A page signs in with a key, and its player and its events need no header."""

from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from media_agent.ledger.ledger import Ledger
from media_agent.server.access import keyring
from media_agent.server.access.sessions import COOKIE, SESSION_SECONDS, Sessions, token_of
from tests.server.access.conftest import NewKey, bearer

pytestmark = pytest.mark.anyio

OWN = {"Origin": "http://localhost:8000"}


async def sign_in(http: httpx.AsyncClient, secret: str) -> str:
    reply = await http.post("/v1/session", headers=bearer(secret))
    assert reply.status_code == 200
    return reply.headers["set-cookie"]


async def test_a_page_signs_in_calls_and_signs_out(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    secret = new_key()
    cookie = await sign_in(http, secret)
    seen = await http.get("/v1/probe")
    changed = await http.post("/v1/probe", headers=OWN)
    token = http.cookies[COOKIE]

    out = await http.delete("/v1/session", headers=OWN)
    after = await http.get("/v1/probe", headers={"Cookie": f"{COOKIE}={token}"})

    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert secret not in cookie
    assert seen.json()["name"] == changed.json()["name"] == "alice"
    assert (out.status_code, after.status_code) == (204, 401)
    assert COOKIE not in http.cookies


async def test_a_foreign_page_changes_nothing_with_the_cookie(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    await sign_in(http, new_key())

    foreign = await http.post("/v1/probe", headers={"Origin": "http://localhost:3000"})
    unnamed = await http.post("/v1/probe")

    assert (foreign.status_code, unnamed.status_code) == (403, 403)


async def test_a_session_ends_with_its_key(
    http: httpx.AsyncClient, ledger: Ledger, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)
    await sign_in(http, new_key())
    ledger.api_keys.revoke(ledger.api_keys.list()[0].id, datetime.now(UTC))

    assert (await http.get("/v1/probe")).status_code == 401


async def test_a_session_has_the_scopes_of_its_key(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    await sign_in(http, new_key(scopes=frozenset({"videos:read"})))

    told = (await http.get("/v1/session")).json()

    assert told == {"caller": "alice", "scopes": ["videos:read"], "needs_key": True}
    assert (await http.post("/v1/probe", headers=OWN)).status_code == 403


async def test_without_keys_a_page_is_told_that_it_needs_none(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/session")

    assert reply.json()["needs_key"] is False
    assert "set-cookie" not in reply.headers


async def test_behind_https_the_cookie_goes_over_https_only(app: FastAPI, new_key: NewKey) -> None:
    secret = new_key()
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="https://localhost") as client,
    ):
        assert "Secure" in await sign_in(client, secret)


async def test_a_forged_cookie_is_refused(http: httpx.AsyncClient, new_key: NewKey) -> None:
    new_key()

    for value in ("", "x", "a" * 1000, '"'):
        reply = await http.get("/v1/probe", headers={"Cookie": f"{COOKIE}={value}"})
        assert reply.status_code in (401, 429)


def test_a_session_is_over_after_some_hours_and_the_oldest_of_too_many_goes() -> None:
    time = 0.0
    sessions = Sessions(clock=lambda: time)
    first = sessions.begin("one")
    assert sessions.find(first) == "one"

    time = SESSION_SECONDS
    assert sessions.find(first) is None

    newer = [sessions.begin("two") for _ in range(1001)]
    assert sessions.find(newer[0]) is None
    assert sessions.find(newer[-1]) == "two"


@pytest.mark.parametrize(
    ("cookies", "token"),
    [
        (f"a=1; {COOKIE}=t; b=2", "t"),
        (f"odd[name]=1; {COOKIE}=t", "t"),
        (f"not{COOKIE}=t", None),
        ("", None),
    ],
)
def test_the_cookie_is_found_among_those_of_others(cookies: str, token: str | None) -> None:
    assert token_of(cookies) == token
