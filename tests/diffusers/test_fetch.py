"""From a repository of the hub to a model that is ready, by the command line alone."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.hub.client import Hub
from media_agent.hub.repository import look_up
from media_agent_diffusers.model_folder.folder import choose_files
from tests.diffusers.model_folder.test_weights import OWN, SINGLE, put_variant, split_into_shards
from tests.hub.hub_server import COMMIT, REPOSITORY, HubServer, serving


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def add_other_files(folder: Path) -> None:
    """Add what lies beside a model on the hub, and is not loaded."""
    shutil.copy(folder / "vae" / f"{OWN}.safetensors", folder / "vae" / f"{OWN}.fp16.safetensors")
    (folder / "vae" / f"{OWN}.bin").write_bytes(b"pickle")
    (folder / "README.md").write_text("# A model")
    (folder / "assets").mkdir()
    (folder / "assets" / "sample.json").write_text("{}")


@pytest.mark.parametrize("arrange", [lambda folder: None, split_into_shards])
def test_a_model_is_fetched_added_and_ready(
    wan_copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arrange: Callable[[Path], None],
) -> None:
    expected = {
        path.relative_to(wan_copy).as_posix() for path in wan_copy.rglob("*") if path.is_file()
    }
    add_other_files(wan_copy)
    with serving(HubServer.of_folder(wan_copy)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(["models", "fetch", REPOSITORY]) == 2  # no terminal to ask on
        refused = capsys.readouterr()
        assert main(["models", "fetch", REPOSITORY, "--yes"]) == 0
        said = capsys.readouterr()
        assert main(["models", "fetch", REPOSITORY, "--json", "--yes"]) == 0
        again = json.loads(capsys.readouterr().out)

    folder = tmp_path / "data" / "models" / "tiny-video"
    came = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert "nothing was fetched" in refused.err
    assert f"{REPOSITORY} at {COMMIT}" in refused.out
    assert "apache-2.0, as the hub says" in refused.out
    assert came == expected
    assert "diffusers/tiny-video: Wan 2.1" in said.out
    assert (again["model"], again["missing_bytes"]) == ("diffusers/tiny-video", 0)
    assert main(["models", "check", "tiny-video"]) == 0


def test_ctrl_c_keeps_what_came_and_the_same_command_continues(
    wan_copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = f"vae/{OWN}.safetensors"
    with serving(HubServer.of_folder(wan_copy)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        hub.interrupted.add(weights)
        assert main(["models", "fetch", REPOSITORY, "--yes"]) == 130
        said = capsys.readouterr().err
        assert main(["models", "list"]) == 0
        listed = capsys.readouterr().out
        assert main(["models", "fetch", REPOSITORY, "--yes"]) == 0

    half = len(hub.files[weights]) // 2
    assert "what came is kept in" in said
    assert "tiny-video" not in listed
    assert hub.asked(weights) == [None, f"bytes={half}-"]
    assert (tmp_path / "data/models/tiny-video" / weights).read_bytes() == hub.files[weights]


def test_a_model_that_is_damaged_at_the_hub_is_not_registered(
    wan_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = f"vae/{OWN}.safetensors"
    hub = HubServer.of_folder(wan_copy)
    whole = len(hub.files[weights])
    hub.files[weights] = hub.files[weights][:-1]

    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(["models", "fetch", REPOSITORY, "--yes", "--json"]) == 21
    said = capsys.readouterr().err
    assert main(["models", "list"]) == 0

    assert f"{weights} has {whole - 1} of {whole} bytes" in said
    assert "no models yet" in capsys.readouterr().out


@pytest.mark.anyio
async def test_the_hub_is_read_as_its_own_client_reads_it(wan_copy: Path) -> None:
    hugging_face = pytest.importorskip("huggingface_hub")
    server = HubServer.of_folder(wan_copy)
    server.gated, server.licence = True, {"license": "other", "license_name": "acme-licence"}

    with serving(server):
        own = await look_up(Hub(server.address), REPOSITORY)
        api = hugging_face.HfApi(endpoint=server.address, token=False)
        info = await asyncio.to_thread(
            api.model_info, REPOSITORY, revision="main", files_metadata=True
        )
        url = hugging_face.hf_hub_url(
            REPOSITORY, "a b/c#d.json", revision=COMMIT, endpoint=server.address
        )

    assert (own.commit, own.is_gated) == (info.sha, bool(info.gated))
    assert own.licence == info.card_data.license_name
    assert url == server.address + own.path_of("a b/c#d.json")
    assert len(info.siblings) == len(own.files) == len(server.files)
    for each in info.siblings:
        file = own.files[each.rfilename]
        assert (file.size, file.git_hash) == (each.size, each.blob_id)
        assert file.sha256 == (None if each.lfs is None else each.lfs["sha256"])


def test_json_without_yes_is_the_plan_alone(
    wan_copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(HubServer.of_folder(wan_copy)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(["models", "fetch", REPOSITORY, "--json", "--name", "mine"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert (said["fetched"], said["model"]) == (False, "diffusers/mine")
    assert not (tmp_path / "data").exists()


def test_one_variant_is_fetched(wan_copy: Path) -> None:
    for name in SINGLE:
        file = wan_copy / name / f"{SINGLE[name]}.safetensors"
        shutil.copy(file, file.with_suffix(".fp16.safetensors"))

    plain = [name for name in choose_files(wan_copy, None) if "safetensors" in name]
    half = [name for name in choose_files(wan_copy, "fp16") if "safetensors" in name]

    assert plain == [f"{name}/{SINGLE[name]}.safetensors" for name in sorted(SINGLE)]
    assert half == [f"{name}/{SINGLE[name]}.fp16.safetensors" for name in sorted(SINGLE)]


def only_pickles(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))


def another_pipeline(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')


def no_pipeline(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def one_shard_short(folder: Path) -> None:
    split_into_shards(folder)
    (folder / "transformer" / f"{OWN}-00002-of-00002.safetensors").unlink()


@pytest.mark.parametrize(
    ("arrange", "options", "said"),
    [
        (only_pickles, [], "which can run code"),
        (another_pipeline, [], "StableDiffusionPipeline"),
        (no_pipeline, [], "it has no model_index.json"),
        (one_shard_short, [], f"{OWN}-00002-of-00002.safetensors is missing"),
        (lambda folder: None, ["--variant", "fp8"], "it has no variant 'fp8'"),
        (
            lambda folder: put_variant(folder, "bf16"),
            ["--variant", "fp16"],
            "its variants: bf16",
        ),
    ],
)
def test_what_could_not_be_used_is_refused_before_it_is_fetched(
    wan_copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arrange: Callable[[Path], None],
    options: list[str],
    said: str,
) -> None:
    arrange(wan_copy)
    with serving(HubServer.of_folder(wan_copy)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert main(["models", "fetch", REPOSITORY, "--yes", *options]) == 2

    error = capsys.readouterr().err
    assert said in error
    assert f"the model folder {REPOSITORY} cannot be used" in error
    assert not (tmp_path / "data").exists()


def test_a_name_that_is_taken_is_refused_before_it_is_fetched(
    wan_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", str(wan_copy), "--name", "mine"]) == 0
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")

    assert main(["models", "fetch", REPOSITORY, "--name", "mine", "--yes"]) == 2

    assert "the name mine is taken" in capsys.readouterr().err


def test_check_names_every_missing_file_and_the_truncated_one(
    wan_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split_into_shards(wan_copy)
    assert main(["models", "add", str(wan_copy), "--name", "mine"]) == 0
    shards = sorted((wan_copy / "transformer").glob("*.safetensors"))
    whole = shards[0].read_bytes()

    shards[0].write_bytes(whole[:-1])
    assert main(["models", "check", "diffusers/mine"]) == 21
    truncated = capsys.readouterr().out
    for shard in shards:
        shard.unlink()
    assert main(["models", "check"]) == 21
    missing = capsys.readouterr().out
    assert main(["models", "check", "min"]) == 2

    assert f"transformer/{shards[0].name} has {len(whole) - 1} of {len(whole)} bytes" in truncated
    assert all(f"transformer/{shard.name}" in missing for shard in shards)
    assert "unknown model 'min' (valid: diffusers/mine)" in capsys.readouterr().err
