"""From a folder of weights to a video by the command line alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.video.probe import probe
from media_agent_schemas import GenerationRecord, VerificationLevel
from tests.diffusers.families.folders import publish
from tests.diffusers.model_folder.gguf_files import write_gguf

FolderOf = Callable[[str], Path]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("")
    monkeypatch.chdir(tmp_path)


def test_a_folder_is_added_and_makes_a_video_with_its_record(
    folder_of: FolderOf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", str(folder_of("wan")), "--name", "tiny"]) == 0
    said = capsys.readouterr().out
    command = "generate cat --backend diffusers/tiny --duration 0.3 --seed 0 --size 46x30"
    options = "--option num_inference_steps=2 --out video.mp4"
    assert main(f"{command} {options}".split()) == 0

    assert "diffusers/tiny: Wan 2.1, text or video to video" in said
    assert "4k+1 frames" in said
    facts = probe(Path("video.mp4"))
    assert (facts.frames, facts.width, facts.height) == (5, 48, 32)
    record = GenerationRecord.model_validate_json(Path("video.json").read_bytes())
    assert (record.backend, record.model) == ("diffusers", "tiny")
    assert record.verification.level is VerificationLevel.TINY_WEIGHTS
    assert record.weights_sha256 is not None
    adjusted = {change.field: change.used for change in record.adjusted}
    assert adjusted["duration"] == 5 / 16
    assert adjusted["size"] == "48x32"


def test_a_video_longer_than_the_model_makes_is_planned_in_windows(
    folder_of: FolderOf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", str(folder_of("skyreels-df")), "--name", "sky"]) == 0
    capsys.readouterr()

    assert main(["plan", "cat", "--backend", "diffusers/sky", "--duration", "8"]) == 0

    said = capsys.readouterr()
    assert "by extending the video 2 times, with 2 cuts" in said.out + said.err
    assert "segments" not in said.out + said.err


def test_a_folder_is_added_with_a_gguf_file_in_place_of_its_transformer(
    folder_of: FolderOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gguf")
    folder = publish(folder_of("wan"), tmp_path / "wan")
    file = write_gguf(tmp_path / "small.gguf", folder)
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()

    assert main(["models", "add", "wan"]) == 21
    assert main(["models", "add", "wan", "--gguf", "small.gguf", "--gguf", "small.gguf"]) == 2
    assert main(["models", "add", "wan", "--gguf", "vae=small.gguf"]) == 21
    assert main(["models", "add", "wan", "--gguf", "transformer=small.gguf"]) == 0
    assert main(["models", "add", "wan", "--name", "same", "--gguf", "small.gguf"]) == 0
    said = capsys.readouterr()
    assert main(["models", "check"]) == 0

    assert f"weights (transformer from {file} in F16)" in said.out
    assert "--gguf names two files for one component" in said.err
    assert "no GGUF file can be given for 'vae'" in said.err
    assert capsys.readouterr().out == "diffusers/wan: ready\ndiffusers/same: ready\n"


def test_the_settings_name_a_gguf_file_relative_to_themselves(
    folder_of: FolderOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gguf")
    write_gguf(tmp_path / "small.gguf", folder_of("wan"))
    (tmp_path / "settings.toml").write_text(
        f"""
[backends.diffusers.options.models]
whole = "{folder_of("wan")}"
small = "{folder_of("wan")}"
[backends.diffusers.options.gguf.small]
transformer = "small.gguf"
"""
    )

    assert main(["models", "list", "--json"]) == 0

    data = json.loads(capsys.readouterr().out)["data"]
    described = {each["model"]: each["capabilities"]["description"] for each in data}
    assert f"transformer from {tmp_path / 'small.gguf'}" in described["diffusers/small"]
    assert "gguf" not in described["diffusers/whole"]


def test_models_are_listed_checked_and_forgotten(
    folder_of: FolderOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_of("wan"), copy)
    (tmp_path / "settings.toml").write_text(
        f'[backends.diffusers.options.models]\nmine = "{folder_of("mochi")}"\n'
    )
    assert main(["models", "add", str(copy)]) == 0
    (copy / "model_index.json").unlink()
    capsys.readouterr()

    assert main(["models", "list"]) == 0
    table = capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert main(["models", "remove", "diffusers/copy"]) == 0
    assert main(["models", "remove", "copy"]) == 2

    assert {known["model"]: known["problem"] is None for known in data} == {
        "diffusers/copy": False,
        "diffusers/mine": True,
    }
    assert "it has no model_index.json" in table
    assert "ready" in table
    assert copy.exists()


def test_added_models_appear_among_the_backends(
    folder_of: FolderOf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", str(folder_of("mochi"))]) == 0
    capsys.readouterr()

    assert main(["backends", "--json"]) == 0

    known = json.loads(capsys.readouterr().out)["data"]
    assert ("diffusers", "mochi") in [
        (capabilities["backend"], capabilities["model"]) for capabilities in known
    ]


@pytest.mark.parametrize(
    ("damage", "said"),
    [("nothing", "there is no such folder"), ("empty", "it has no model_index.json")],
)
def test_a_folder_that_cannot_be_used_is_not_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, said: str
) -> None:
    if damage == "empty":
        (tmp_path / "weights").mkdir()

    assert main(["models", "add", "weights"]) == 21

    assert said in capsys.readouterr().err
    assert not (tmp_path / "data" / "models.json").exists()


def test_a_folder_without_a_name_can_be_checked(
    folder_of: FolderOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights").mkdir()

    assert main(["models", "check", "weights"]) == 21
    assert "it has no model_index.json" in capsys.readouterr().out
    assert main(["models", "check", str(folder_of("wan"))]) == 0
    assert capsys.readouterr().out.endswith(": ready\n")


def test_an_incomplete_folder_names_a_check_that_knows_it(
    folder_of: FolderOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder_of("wan"), tmp_path / "cut")
    (tmp_path / "cut" / "transformer" / "config.json").unlink()

    assert main(["models", "add", "cut"]) == 21
    assert f"media-agent models check {tmp_path / 'cut'}" in capsys.readouterr().err


def test_without_models_the_way_to_one_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0

    assert "media-agent models add FOLDER" in capsys.readouterr().out


def test_the_tiny_pipelines_can_be_built_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from media_agent_diffusers.tiny import main as build

    assert build([str(tmp_path / "tiny"), "--family", "wan"]) == 0
    with pytest.raises(SystemExit, match="2"):
        build([str(tmp_path / "tiny"), "--family", "wan"])

    assert "not empty" in capsys.readouterr().err
    assert main(["models", "add", str(tmp_path / "tiny")]) == 0


def test_a_plan_says_how_the_model_will_be_held(
    folder_of: FolderOf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", str(folder_of("wan")), "--name", "tiny"]) == 0
    capsys.readouterr()
    command = ["plan", "cat", "--backend", "diffusers/tiny", "--duration", "0.3", "--size", "32x32"]

    assert main(command) == 0
    text = capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    memory = json.loads(capsys.readouterr().out)["chosen"]["memory"]

    assert "memory: all weights in the memory where it computes: needs about " in text
    assert memory["held"] == "all weights in the memory where it computes"
    assert 0 < memory["needed_bytes"] < memory["free_bytes"]
    assert (memory["where"] is not None, memory["fits"]) == (True, True)
