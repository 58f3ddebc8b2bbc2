"""From the repositories of the hub to a video, by the command line alone."""

import json
import shutil
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent_magi.wan_causal.fetching import LICENCE, RELEASED
from tests.hub.hub_server import HubServer, serving
from tests.magi.released_wan import CAPTIONS, write_hollow_longlive

NAMES = tuple(part.repository for part in RELEASED["longlive"].parts)
GIB = 2**30


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def hub_of(releases: Path) -> HubServer:
    """Return a hub with LongLive and the parts of Wan 2.1."""
    files = HubServer.of_folder(releases / "longlive").files
    files |= HubServer.of_folder(releases / "wan2.1-t2v-1.3b").files
    del files["inference.yaml"]
    return HubServer(files, names=NAMES, licence={"license": "cc-by-nc-sa-4.0"})


def test_a_model_of_two_repositories_is_planned_fetched_and_makes_a_video(
    releases: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = tmp_path / "data" / "models"
    (models / "longlive").mkdir(parents=True)
    shutil.copy(releases / "longlive" / "inference.yaml", models / "longlive")  # it is a small one
    with serving(hub_of(releases)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(["models", "fetch", "wan-causal/longlive"]) == 2  # no terminal to ask on
        refused = capsys.readouterr()
        assert main(["models", "fetch", "wan-causal/longlive", "--json"]) == 0
        planned = json.loads(capsys.readouterr().out)
        assert not (models / "longlive" / "models").exists()
        assert main(["models", "fetch", NAMES[0], "--yes"]) == 0
    came = {path.relative_to(models).as_posix() for path in models.rglob("*.p*t*")}
    capsys.readouterr()

    assert "nothing was fetched" in refused.err
    for line in ("models/lora.pt", "Wan2.1_VAE.pth", "cc-by-nc-sa-4.0, as the hub says", LICENCE):
        assert line in refused.out
    assert (planned["fetched"], planned["licence"]) == (False, LICENCE)
    assert [part["repository"] for part in planned["parts"]] == list(NAMES)
    assert planned["missing_bytes"] == planned["total_bytes"] > 10**5
    assert came == {
        "longlive/models/longlive_base.pt",
        "longlive/models/lora.pt",
        "wan2.1-t2v-1.3b/Wan2.1_VAE.pth",
        "wan2.1-t2v-1.3b/models_t5_umt5-xxl-enc-bf16.pth",
    }
    assert main(["models", "check", "longlive"]) == 0
    capsys.readouterr()
    vae = next(tmp_path.rglob("Wan2.1_VAE.pth"))
    vae_bytes = vae.read_bytes()
    vae.write_bytes(vae_bytes[:-999])
    assert main(["models", "check", "longlive"]) != 0
    said = capsys.readouterr().out
    assert "Wan2.1_VAE.pth is cut off" in said
    assert "hint: fetch what is missing again: media-agent models fetch" in said
    vae.write_bytes(vae_bytes)
    assert main(["models", "smoke", "wan-causal/longlive"]) == 0
    capsys.readouterr()
    shots = ["generate", f"{CAPTIONS[0]}@0.75", "--shot", f"{CAPTIONS[1]}@0.75"]
    assert main([*shots, "--backend", "wan-causal/longlive", "--out", "fox.mp4"]) == 0
    record = json.loads((tmp_path / "fox.json").read_text())
    assert (record["licence"], record["frames_delivered"]) == (LICENCE, 24)


def test_what_is_there_of_another_model_is_not_fetched_again(
    releases: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = tmp_path / "data" / "models"
    shutil.copytree(releases / "wan2.1-t2v-1.3b", models / "wan2.1-t2v-1.3b")
    with serving(hub_of(releases)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(["models", "fetch", "wan-causal/longlive", "--json"]) == 0
    own, base = json.loads(capsys.readouterr().out)["parts"]

    assert own["missing_bytes"] == own["total_bytes"]
    assert base["missing_bytes"] == 0


def test_a_repository_that_lacks_a_file_is_refused(
    releases: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = hub_of(releases)
    del server.files["models/lora.pt"]
    with serving(server) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(["models", "fetch", "wan-causal/longlive", "--yes"]) == 2

    assert f"{NAMES[0]} has no models/lora.pt" in capsys.readouterr().err


@pytest.fixture
def longlive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LongLive in its full sizes is registered."""
    assert main(["models", "add", str(write_hollow_longlive(tmp_path / "weights"))]) == 0
    capsys.readouterr()


def plan(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = main(["plan", "--duration", "600", "a fox in snow", *more])
    return code, capsys.readouterr().out


@pytest.mark.usefixtures("longlive")
def test_ten_minutes_on_a_card_of_12_gb_name_it_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, said = plan(capsys, "--device-memory", "12GiB")
    _, listed = plan(capsys, "--device-memory", "12GiB", "--json")
    chosen = json.loads(listed)["chosen"]

    assert code == 0
    assert "wan-causal/longlive" in said.splitlines()[0]
    assert f"licence of wan-causal/longlive: {LICENCE}" in said
    assert (chosen["model"], chosen["method"], chosen["licence"]) == (
        "wan-causal/longlive",
        "endless",
        LICENCE,
    )
    assert chosen["memory"]["needed_bytes"] < 12 * GIB
    assert "text encoder off the device" in chosen["memory"]["held"]


@pytest.mark.usefixtures("longlive")
def test_it_stands_before_the_small_vocabulary(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--duration", "600", "a red circle moving right", "--json"]
    allowed = ["--allow", "magi", "--allow", "wan-causal", "--device-memory", "12GiB"]
    code = main([*asked, *allowed])
    ranked = [row["model"] for row in json.loads(capsys.readouterr().out)["data"]]

    assert code == 0
    assert ranked[:2] == ["wan-causal/longlive", "magi/tiny"]


@pytest.mark.usefixtures("longlive")
def test_a_card_that_is_too_small_is_told_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = plan(capsys, "--device-memory", "3GiB", "--backend", "wan-causal/longlive")

    assert code != 0
    assert "needs 3.6 GiB on a GPU" in said
    assert "blocks streamed from the main memory" in said
    assert "624x352 fits" in said


@pytest.mark.usefixtures("longlive")
def test_a_commercial_route_leaves_it_out_until_its_licence_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        '[routes.commercial]\nlicences = ["Apache-2.0", "MIT"]\n\n'
        f'[routes.mine]\nlicences = ["Apache-2.0", "{LICENCE}"]\n'
    )
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(settings))
    card = "--allow", "wan-causal/longlive", "--device-memory", "12GiB"
    refused, commercial = plan(capsys, "--route", "commercial", *card)
    allowed, mine = plan(capsys, "--route", "mine", *card)

    assert refused != 0
    assert f"licence = Apache-2.0, MIT: its licence is {LICENCE}" in commercial
    assert allowed == 0
    assert "wan-causal/longlive" in mine.splitlines()[0]


def test_without_weights_it_says_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = plan(capsys, "--device-memory", "12GiB")

    assert "not wan-causal/longlive: needs weights: media-agent models fetch wan-causal/" in said
    assert "wan-causal/longlive would be held on cuda, text encoder off the device" in said


@pytest.mark.usefixtures("longlive")
@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "CPU"])
def test_a_device_of_no_kind_is_named(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = plan(capsys, "--backend", "wan-causal/longlive", "--option", f"device={device}")

    assert code == 2
    assert f"device = {device!r} is no device (give auto, cpu, cuda or cuda:1)" in said
