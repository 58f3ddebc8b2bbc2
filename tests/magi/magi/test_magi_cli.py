"""From a folder of released weights to a video, by the command line alone."""

import json
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from media_agent.cli import main
from media_agent.video.probe import probe
from media_agent_magi.backend import MagiBackend
from media_agent_schemas import BackendEvent, OperationRef

WEIGHTS = "inference_weight.distill"


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("")
    monkeypatch.chdir(tmp_path)


def test_a_folder_is_added_and_makes_a_storyboard_with_its_record(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", str(release), "--name", "small"]) == 0
    assert "MAGI-1 weights, distilled" in capsys.readouterr().out
    shots = ["a red circle moving right@1", "--shot", "a blue square in the rain@1"]
    command = ["generate", *shots, "--backend", "magi/small", "--seed", "0", "--out", "video.mp4"]

    assert main(command) == 0

    facts = probe(Path("video.mp4"))
    assert (facts.frames, facts.width, facts.height) == (48, 64, 64)
    record = json.loads(Path("video.json").read_bytes())
    assert (record["backend"], record["model"]) == ("magi", "small")


def test_folders_are_checked_without_a_name(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(release.parents[1], tmp_path / "ckpt"))
    assert main(["models", "check", str(root / "magi" / "small")]) == 0
    shard = next((root / "magi" / "small" / WEIGHTS).glob("model-00001*"))
    shard.write_bytes(shard.read_bytes()[:-10])
    capsys.readouterr()

    assert main(["models", "check", str(root / "magi" / "small")]) != 0

    assert f"{shard.name} is cut off" in capsys.readouterr().out


def test_smoke_makes_a_chunk_and_finds_noise_without_saying_where_it_is(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["models", "add", str(release), "--name", "small"])
    capsys.readouterr()

    assert main(["models", "smoke", "magi/small", "--json"]) == 1  # its weights are random

    said = capsys.readouterr().out
    report = json.loads(said)
    assert report["verdict"] == "noise"
    assert (report["frames"], report["size"], report["device"]) == (24, "64x64", "cpu")
    assert report["seconds"] > 0
    assert str(release.parents[2]) not in said


def test_smoke_of_a_good_model_says_that_it_is_a_video(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "smoke", "magi/tiny"]) == 0

    assert "a video" in capsys.readouterr().out


def test_smoke_names_weights_that_make_no_numbers(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(release.parents[1], tmp_path / "ckpt"))
    for shard in (root / "magi" / "small" / WEIGHTS).glob("*.safetensors"):
        tensors = load_file(shard)
        if "final_linear.linear.weight" in tensors:
            tensors["final_linear.linear.weight"][:] = float("nan")
            save_file(tensors, shard)
    main(["models", "add", str(root / "magi" / "small"), "--name", "broken"])
    capsys.readouterr()

    assert main(["models", "smoke", "magi/broken"]) != 0

    assert "no numbers (NaN) in chunk 0" in capsys.readouterr().err


class SaysNothing(MagiBackend):
    """Ends without saying how."""

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        for event in ():
            yield event


def test_smoke_of_a_backend_that_says_nothing_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("media_agent_magi.backend.MagiBackend", SaysNothing)

    assert main(["models", "smoke", "magi/tiny"]) not in (0, 1)

    assert "magi/tiny ended without a video" in capsys.readouterr().err


def test_a_plan_for_this_machine_says_what_it_would_need(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["plan", "cat", "--backend", "magi/4.5b", "--size", "720x720"]

    assert main([*command, "--device-memory", "4GiB"]) != 0
    said = capsys.readouterr().out
    assert "media-agent models fetch" in said
    assert "magi/4.5b at 720x720 needs" in said
    assert "4.0 GiB are free" in said
    assert "GB " not in said.replace("GiB", "")

    main([*command, "--device-memory", "16GiB"])
    said = capsys.readouterr().out
    assert (
        "text encoder off the device; tiles decoded one by one; chunks decoded in turn; fp8 weights"
        in said
    )

    assert main([*command, "--device-memory", "much"]) == 2
    assert "such as 24GiB" in capsys.readouterr().err
