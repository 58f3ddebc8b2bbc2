"""Backends in use: made once, also for several loops at once, and closed together."""

import asyncio
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings, BackendSpec, LimitedKey
from media_agent.builtin.sandbox import SandboxBackend
from media_agent.errors import InvalidRequestError
from media_agent.registry.open_backends import OpenBackends
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry

pytestmark = pytest.mark.anyio


class Counting(SandboxBackend):
    """Counts how often it is made and closed; to be made takes a moment."""

    made = 0
    closed = 0

    def __init__(self, settings: BackendSettings) -> None:
        type(self).made += 1
        time.sleep(0.02)  # long enough for others to ask meanwhile
        super().__init__(settings)

    async def aclose(self) -> None:
        type(self).closed += 1
        await super().aclose()


@pytest.fixture
def backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenBackends:
    monkeypatch.setattr(Counting, "made", 0)
    monkeypatch.setattr(Counting, "closed", 0)
    spec = BackendSpec("acme", Counting, takes_keys=True)
    registry = Registry(Discovery({"acme": spec}))
    keys = (LimitedKey("a", SecretStr("first-key")), LimitedKey("b", None, "no key"))
    return OpenBackends(
        registry, lambda name: BackendSettings(tmp_path, name=name, key=SecretStr("own"), keys=keys)
    )


async def test_one_that_is_asked_for_by_many_at_once_is_made_once(backends: OpenBackends) -> None:
    found = await asyncio.gather(*[backends.get("acme") for _ in range(5)])
    for each in found:
        each.capabilities()

    assert Counting.made == 1
    assert len({id(each) for each in found}) == 1


async def test_each_is_closed_once_though_all_are_closed_twice(backends: OpenBackends) -> None:
    (await backends.get("acme")).capabilities()

    await asyncio.gather(backends.aclose(), backends.aclose())

    assert Counting.closed == 1


async def test_the_keys_that_they_were_given_are_known(backends: OpenBackends) -> None:
    before = set(backends.keys)
    await backends.get("acme")

    assert before == set()
    assert backends.keys == {"own", "first-key"}


async def test_a_name_that_nobody_has_is_an_error_each_time(backends: OpenBackends) -> None:
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match="acne"):
            await backends.get("acne")
