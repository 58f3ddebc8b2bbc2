"""The keys that fal signs with: fetched seldom, kept a day, and changed when they do not fit."""

import asyncio

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from media_agent.server.webhooks.checks import KeySet, fetch_keys
from tests.server.webhooks.test_signing import fal_headers, key_set

URL = "https://keys.example/jwks.json"
OLD, NEW = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

pytestmark = pytest.mark.anyio


class Keys:
    """A service that tells its keys, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.reply = httpx.Response(200, json=key_set(OLD))
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.set = KeySet(self.fetch, clock=lambda: self.now)

    async def fetch(self) -> tuple[Ed25519PublicKey, ...]:
        reading = fetch_keys(URL, self.open)
        await self.may_answer.wait()
        return await reading()

    def open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self.reply

    async def check(self, key: Ed25519PrivateKey) -> bool | None:
        return await self.set.check(fal_headers(key, b"{}", at=1000), b"{}", 1000)


async def test_keys_are_fetched_once_a_day() -> None:
    keys = Keys()

    for keys.now in (0, 1, 3600, 86_399):
        assert await keys.check(OLD) is True
    assert keys.asked == 1
    keys.now = 86_400

    assert await keys.check(OLD) is True
    assert keys.asked == 2


async def test_forged_callbacks_make_nobody_fetch_keys_again_and_again() -> None:
    keys = Keys()

    for keys.now in range(600):
        assert await keys.check(NEW) is False
    assert keys.asked == 1


async def test_keys_that_were_changed_are_found_after_ten_minutes() -> None:
    keys = Keys()
    assert await keys.check(OLD) is True
    keys.reply = httpx.Response(200, json=key_set(NEW))

    assert await keys.check(NEW) is False
    keys.now = 600
    assert await keys.check(NEW) is True


@pytest.mark.parametrize("is_known", [True, False])
async def test_callbacks_that_come_while_keys_are_fetched_wait_for_them(is_known: bool) -> None:
    keys = Keys()
    if is_known:
        assert await keys.check(OLD) is True
    keys.asked, keys.now, keys.reply = 0, 86_400, httpx.Response(200, json=key_set(NEW))
    keys.may_answer.clear()

    checks = [asyncio.create_task(keys.check(NEW)) for _ in range(3)]
    await asyncio.sleep(0)
    keys.may_answer.set()

    assert await asyncio.gather(*checks) == [True] * 3
    assert keys.asked == 1


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "http://localhost/"}),
        httpx.Response(200, content=b"no JSON"),
        httpx.Response(200, json={"keys": []}),
        httpx.Response(200, content=b" " * 2**17),
    ],
)
async def test_without_keys_a_callback_is_only_a_hint(reply: httpx.Response) -> None:
    keys = Keys()
    keys.reply = reply

    assert await keys.check(OLD) is None
    assert await keys.check(OLD) is None
    assert keys.asked == 1


async def test_keys_that_are_known_outlive_a_service_that_is_down() -> None:
    keys = Keys()
    assert await keys.check(OLD) is True
    keys.reply, keys.now = httpx.Response(503), 86_401

    assert await keys.check(OLD) is True
    assert await keys.check(NEW) is False
