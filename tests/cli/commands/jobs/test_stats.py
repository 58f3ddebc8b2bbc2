"""The command that shows how submissions ended, and plans that know it."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from media_agent.cli import main
from media_agent_hosted.providers.fal.simulator import FalSimulator

SMALL = ["--size", "64x64", "--duration", "1"]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a video, and fail to make another one."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("MEDIA_AGENT_DATA_DIR", str(folder / "data"))
        sandbox = ["--backend", "sandbox", *SMALL, "--option", "price_per_second=0.1"]
        assert main(["generate", "a secret cat", *sandbox, "--out", "a.mp4"]) == 0
    return folder


@pytest.fixture(autouse=True)
def made(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)


def test_a_table_has_a_row_for_each_model(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats"]) == 0

    out = capfd.readouterr().out
    row = out.splitlines()[1].split()
    assert row[:4] == ["sandbox/slate", "1", "100", "%"]
    assert "no factor is known" in out


def test_json_has_numbers_and_no_prompt(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--json", "--since", "1d"]) == 0

    out = capfd.readouterr().out
    (row,) = json.loads(out)["data"]
    assert (row["name"], row["outcomes"], row["done"]) == ("sandbox/slate", 1, 1.0)
    assert row["usd"] == pytest.approx(0.1)
    assert row["median_seconds"] > 0
    assert "secret" not in out


def test_a_plot_is_an_image(tmp_path: Path) -> None:
    assert main(["stats", "--plot", "days.svg"]) == 0
    assert main(["stats", "--plot", "days.png"]) == 0

    drawn = ElementTree.parse(tmp_path / "days.svg").getroot()
    assert any("sandbox/slate" in (each.text or "") for each in drawn.iter())
    assert (tmp_path / "days.png").read_bytes().startswith(b"\x89PNG")


def test_another_ending_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--plot", "days.gif"]) == 2

    assert ".svg" in capfd.readouterr().err


def test_an_image_without_pillow_is_refused_with_the_way_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cli.stats_chart.find_spec", lambda name: None)

    assert main(["stats", "--plot", "days.png"]) != 0
    assert "name it .svg" in capfd.readouterr().err
    assert main(["stats", "--plot", "days.svg"]) == 0


def test_a_time_without_outcomes_says_so(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_DATA_DIR", str(tmp_path / "empty"))

    assert main(["stats"]) == 0
    assert capfd.readouterr().out == "nothing ended in this time\n"


def test_a_plan_tells_what_happened_lately(capfd: pytest.CaptureFixture[str]) -> None:
    flags = ["--allow", "sandbox", "--prefer", "balanced", "--waiting-usd-per-second", "0.01"]
    assert main(["plan", "a cat", *SMALL, *flags]) == 0

    assert "last 7 days: 100 % of 1 done, median" in capfd.readouterr().out


def test_an_offer_that_was_used_first_locks_no_other_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__OPTIONS", '{"poll_seconds": 0.01}')
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEY", "any-key")
    used = "fal/fal-ai/wan-25-preview/text-to-video"  # 0.10 USD per second
    alike, cheap = "fal/fal-ai/wan/v2.7/text-to-video", "fal/fal-ai/pika/v2.2/text-to-video"
    request = ["a fox", "--duration", "5", "--prefer", "balanced"]
    with FalSimulator() as simulator:
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", simulator.url)
        assert main(["generate", "a fox", "--backend", used, "--yes", "--out", "b.mp4"]) == 0
        capfd.readouterr()

        assert main(["plan", *request, "--allow", used, "--allow", cheap]) == 0
        said = capfd.readouterr().out
        monkeypatch.setenv("MEDIA_AGENT_ROUTING__EXPLORE", "0.1")

        def count_tries(most: str) -> int:
            monkeypatch.setenv("MEDIA_AGENT_ROUTING__EXPLORE_MAX_USD", most)
            chosen = []
            for seed in (1, 2, 3):
                flags = ["--allow", used, "--allow", alike, "--seed", str(seed), "--json"]
                assert main(["plan", *request, *flags]) == 0
                first, second = json.loads(capfd.readouterr().out)["data"][:2]
                assert {first["model"], second["model"]} == {used, alike}
                assert first["outlook"]["is_try"] is (first["model"] == alike)
                assert (first["cost_usd"], first["seconds"]) == (0.5, None)
                chosen.append(first["model"])
            return chosen.count(alike)

        tries, too_dear = count_tries("0.5"), count_tries("0.4")

    assert f"selected {cheap}" in said
    assert re.search(r"time unknown; \d+ s as others take", said)
    assert tries == 2
    assert too_dear == 0


def test_usage_of_a_time_that_ends_before_it_begins_is_no_empty_bill(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["usage", "--from", "2026-11-02", "--to", "2026-11-01"]) == 2
    assert main(["usage", "--from", "9999-01-01"]) == 2
    assert "--from 9999-01-01 is no day before now" in capfd.readouterr().err
