"""The commands that read newer facts about models, show them and drop them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.cli.commands.setup import catalogue
from media_agent.config.settings import load_settings
from media_agent.routing.refresh import fetch
from media_agent.routing.refresh.stored import UpdateStore
from tests.routing.refresh.signing import PUBLIC_KEY, sign

MODEL = "fal-ai/wan/v2.7/text-to-video"
NEW = "fal-ai/wan/v9/text-to-video"
URL = "https://example.com/prices.json"
Serve = Callable[..., None]


def file(usd: float, date: str = "2026-11-28") -> bytes:
    price = {"usd": usd, "per": "second", "source": "a page", "date": date}
    models = {MODEL: {"prices": [price]}, NEW: {"offer_of": "wan-9", "prices": [price]}}
    return json.dumps({"date": date, "backends": {"fal": models}}).encode()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Return what puts a file at the address of the settings."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[catalogue]\nurl = "{URL}"\npublic_key = "{PUBLIC_KEY}"\n')
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(settings))
    monkeypatch.setenv("FAL_KEY", "fal-key-0123456789")

    def put(content: bytes, signature: bytes | None = None) -> None:
        async def answer(url: str) -> tuple[bytes, bytes]:
            assert url == URL
            return content, sign(content) if signature is None else signature

        monkeypatch.setattr(fetch, "fetch_update", answer)

    return put


def price(capsys: pytest.CaptureFixture[str], model: str = MODEL) -> str:
    assert main(["backends", f"fal/{model}", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["data"]
    return f"{said['estimate']['cost_usd'] / said['estimate_seconds_of_video']:g}"


def test_of_two_updates_at_once_the_newer_one_stays(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer one is kept while the older one is being read."""
    newer = file(0.04, "2026-11-28")
    store = UpdateStore(load_settings().data_dir)

    def list_changes(*given: object) -> list[object]:
        store.put(URL, newer, sign(newer), datetime.now(UTC))
        return []

    serve(file(0.05, "2026-11-27"))
    monkeypatch.setattr(catalogue, "_list_changes", list_changes)

    assert main(["catalogue", "update"]) == 2
    assert "and the one in use is of 2026-11-28" in capsys.readouterr().err
    assert store.get().content == newer.decode()  # type: ignore[union-attr]


def test_newer_prices_hold_until_they_are_reset(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    before = price(capsys)
    serve(file(0.04))

    assert main(["catalogue", "update"]) == 0
    said = capsys.readouterr().out
    assert f"fal/{MODEL}: prices: 0.10 USD a second up to 720p" in said
    assert "-> 0.04 USD a second" in said
    assert f"fal/{NEW} (an id that this version does not know): offer_of" in said
    assert price(capsys) == "0.04"
    assert main(["catalogue", "verify"]) == 0
    assert main(["catalogue", "reset"]) == 0
    capsys.readouterr()

    assert price(capsys) == before


def test_an_unknown_id_is_an_offer_that_can_be_planned(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(file(0.04))
    assert main(["catalogue", "update"]) == 0
    capsys.readouterr()

    assert main(["plan", "a fox", "--model", "wan-9"]) == 0

    said = capsys.readouterr().out
    assert said.startswith(f"selected fal/{NEW}, an offer of wan-9")
    assert "sheet-only" in said


def test_a_dry_run_shows_and_changes_nothing(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(file(0.04))

    assert main(["catalogue", "update", "--dry-run"]) == 0

    assert "nothing was changed" in capsys.readouterr().out
    assert price(capsys) == "0.1"
    assert main(["catalogue", "show"]) == 0
    assert "no update is in use" in capsys.readouterr().out


def test_an_unsigned_file_lowers_no_price(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve(file(0.001), signature=b"")

    assert main(["catalogue", "update"]) != 0

    assert "nothing was changed" in capsys.readouterr().err
    assert price(capsys) == "0.1"


def test_a_file_that_was_tampered_with_in_its_place_is_found(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(file(0.04))
    assert main(["catalogue", "update", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["date"] == "2026-11-28"
    kept = load_settings().data_dir / "catalogue.json"
    kept.write_text(kept.read_text().replace("0.04", "0.01"))

    assert main(["catalogue", "verify"]) != 0
    assert "not signed" in capsys.readouterr().err


def test_a_damaged_file_is_a_problem_and_not_the_end(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(file(0.04))
    assert main(["catalogue", "update", "--json"]) == 0
    capsys.readouterr()
    (load_settings().data_dir / "catalogue.json").write_text("{")

    assert main(["backends"]) == 0

    assert "is damaged (media-agent catalogue reset removes it)" in capsys.readouterr().out
