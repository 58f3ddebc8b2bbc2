"""From a repository in the layout of MAGI-1 to a model that makes a video, by the command line."""

import json
from pathlib import Path

import pytest

from media_agent.cli import main
from tests.hub.hub_server import COMMIT, REPOSITORY, HubServer, serving

WEIGHTS = "ckpt/magi/small/inference_weight.distill"
FIRST = f"{WEIGHTS}/model-00001-of-00002.safetensors"
FETCH = ["models", "fetch", REPOSITORY, "--name", "fetched"]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(release: Path) -> HubServer:
    """A hub with the small model, laid out as released, and what else lies there."""
    ckpt = release.parents[1]
    files = {
        f"ckpt/{path.relative_to(ckpt).as_posix()}": path.read_bytes()
        for path in ckpt.rglob("*")
        if path.is_file()
    }
    other = {
        "README.md": b"# MAGI",
        "figures/algorithm.png": b"image",
        "ckpt/magi/other/inference_weight/model.safetensors": b"another model",
        "ckpt/t5/t5-v1_1-xxl/tf_model.h5": b"of another library",
        "ckpt/vae/diffusion_pytorch_model.bin": b"pickle",
    }
    return HubServer(files | other)


def came(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "data" / "models" / "fetched"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_one_model_is_fetched_with_its_parts_and_makes_a_video(
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main([*FETCH, "--yes"]) != 0
        several = capsys.readouterr().err
        assert main([*FETCH, "--variant", "small", "--yes"]) == 0
        said = capsys.readouterr()

    wanted = {
        "ckpt/magi/small/config.json",
        "ckpt/magi/small/special_tokens.safetensors",
        f"{WEIGHTS}/model.safetensors.index.json",
        FIRST,
        f"{WEIGHTS}/model-00002-of-00002.safetensors",
        "ckpt/vae/config.json",
        "ckpt/vae/diffusion_pytorch_model.safetensors",
        "ckpt/t5/t5-v1_1-xxl/config.json",
        "ckpt/t5/t5-v1_1-xxl/model.safetensors",
        "ckpt/t5/t5-v1_1-xxl/spiece.model",
    }
    assert f"{REPOSITORY} holds several models: other, small" in several
    assert came(tmp_path) == {name: hub.files[name] for name in wanted}
    assert f"{REPOSITORY} at {COMMIT}" in said.out
    assert "MAGI-1 weights, distilled" in said.out
    assert main(["models", "check", "fetched"]) == 0
    video = ["generate", "a red circle moving right@1", "--backend", "magi/fetched"]
    assert main([*video, "--seed", "0", "--out", "video.mp4"]) == 0


def test_what_was_interrupted_or_broke_off_is_continued(
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fetch, vae = [*FETCH, "--variant", "small", "--yes"], "ckpt/vae/diffusion_pytorch_model"
    hub.interrupted.add(FIRST)
    hub.cut[f"{vae}.safetensors"] = [1000, 2000]
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(fetch) == 130
        said = capsys.readouterr().err
        assert main(["models", "list"]) == 0
        listed = capsys.readouterr().out
        assert main(fetch) == 0

    half = len(hub.files[FIRST]) // 2
    assert "what came is kept in" in said
    assert "fetched" not in listed
    assert hub.asked(FIRST) == [None, f"bytes={half}-"]
    assert hub.asked(f"{vae}.safetensors") == [None, "bytes=1000-", "bytes=3000-"]
    assert came(tmp_path)[FIRST] == hub.files[FIRST]
    assert not [name for name in came(tmp_path) if name.endswith(".part")]


def test_a_file_with_another_checksum_is_fetched_again_and_then_refused(
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fetch = [*FETCH, "--variant", "small", "--yes"]
    hub.damaged[FIRST] = 10
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(fetch) != 0
        refused = capsys.readouterr().err
        assert main(["models", "list", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        hub.damaged.clear()
        assert main(fetch) == 0

    assert Path(FIRST).name in refused
    assert "fetched" not in json.dumps(listed)
    assert came(tmp_path)[FIRST] == hub.files[FIRST]
