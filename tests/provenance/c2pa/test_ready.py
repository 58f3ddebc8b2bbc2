"""Whether videos can be signed is found out before the work, and not for each of hundreds."""

import asyncio
from pathlib import Path

import pytest

from media_agent.errors import ConfigurationError
from media_agent.provenance.c2pa import ready
from media_agent.provenance.c2pa.ready import look_before_work
from media_agent.provenance.c2pa.signing import Signing

pytestmark = pytest.mark.anyio


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Signing]:
    looked = list[Signing]()

    def check(signing: Signing) -> list[str]:
        looked.append(signing)
        if signing.policy == "require":
            raise ConfigurationError("no")
        return ["it expires soon"]

    monkeypatch.setattr(ready, "check_before_work", check)
    return looked


async def test_it_is_found_out_once_for_all_who_ask(tmp_path: Path, looked: list[Signing]) -> None:
    signing = Signing("try", tmp_path)

    said = await asyncio.gather(*(look_before_work(signing) for _ in range(20)))

    assert said == [["it expires soon"]] * 20
    assert looked == [signing]


async def test_it_is_found_out_again_after_a_while(
    tmp_path: Path, looked: list[Signing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "_KEPT_SECONDS", 0.0)

    for _ in range(2):
        await look_before_work(Signing("try", tmp_path))

    assert len(looked) == 2


async def test_what_cannot_be_signed_is_said_to_everybody_anew(
    tmp_path: Path, looked: list[Signing]
) -> None:
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            await look_before_work(Signing("require", tmp_path))

    assert len(looked) == 2


async def test_nothing_is_looked_for_where_nothing_is_signed(looked: list[Signing]) -> None:
    assert await look_before_work(Signing()) == []
    assert looked == []
