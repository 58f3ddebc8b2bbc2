"""The keys that fal signs with: fetched seldom, kept a day, and changed when they do not fit."""

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
        self.set = KeySet(fetch_keys(URL, self.open), clock=lambda: self.now)

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
