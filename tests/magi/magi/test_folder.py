import json
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import load_file, save_file

from media_agent.errors import StorageError
from media_agent_magi.engine.config import ConfigError
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.magi.config import RELEASED, MagiConfig
from media_agent_magi.magi.fetching import choose_files
from media_agent_magi.magi.folder import MagiFolder
from tests.magi.released import settings, write_release

WEIGHTS = "inference_weight.distill"
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture
def folder(release: Path, tmp_path: Path) -> Path:
    """A copy of a good model folder, to be damaged."""
    root = shutil.copytree(release.parents[1], tmp_path / "ckpt")
    return Path(root) / "magi" / "small"


def fault_of(folder: Path) -> str:
    with pytest.raises(WeightsError) as refused:
        MagiFolder.find(folder).check()
    return str(refused.value)


def test_a_good_folder_is_found_from_any_of_its_places(release: Path) -> None:
    for place in (release, release / WEIGHTS, release.parents[1]):
        found = MagiFolder.find(place)
        found.check()

        assert found.weights == release / WEIGHTS
        assert found.config.distilled


def test_a_shard_that_is_cut_off_is_named_with_its_sizes(folder: Path) -> None:
    shard = folder / WEIGHTS / SHARD
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-1000])

    assert f"{SHARD} is cut off: it has {size - 1000} bytes of {size}" in fault_of(folder)


@pytest.mark.parametrize("kept", [0, 4, 50])
def test_a_shard_of_which_only_the_start_is_there_is_named(folder: Path, kept: int) -> None:
    shard = folder / WEIGHTS / SHARD
    shard.write_bytes(shard.read_bytes()[:kept])

    assert SHARD in fault_of(folder)


def test_a_shard_that_is_half_downloaded_is_named(folder: Path) -> None:
    shard = folder / WEIGHTS / SHARD
    shard.rename(shard.with_name(f"{SHARD}.0123456789ab.part"))

    assert f"{SHARD} is half downloaded" in fault_of(folder)


def test_all_files_that_are_missing_are_named_at_once(folder: Path) -> None:
    (folder / WEIGHTS / SHARD).unlink()
    root = folder.parents[1]
    (root / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (root / "t5" / "t5-v1_1-xxl" / "model.safetensors").unlink()

    said = fault_of(folder)

    assert f"{SHARD} is missing" in said
    assert "diffusion_pytorch_model.safetensors is missing" in said
    assert "model.safetensors is missing" in said


def test_a_text_encoder_of_which_tokenizer_or_weights_are_cut_off_is_named(folder: Path) -> None:
    text = folder.parents[1] / "t5" / "t5-v1_1-xxl"
    weights, numbers = load_file(text / "model.safetensors"), text / "pytorch_model.bin"
    torch.save(weights, numbers)
    (text / "model.safetensors").unlink()
    MagiFolder.find(folder).check()

    name, last = list(weights)[-1], len(weights) - 1
    with ZipFile(numbers) as old:
        members = {each.filename: old.read(each) for each in old.infolist()}
    members[f"pytorch_model/data/{last}"] = members[f"pytorch_model/data/{last}"][:-7]
    with ZipFile(numbers, "w") as new:
        for member, content in members.items():
            new.writestr(member, content)
    (text / "spiece.model").write_bytes((text / "spiece.model").read_bytes()[:199])

    said = fault_of(folder)

    assert f"pytorch_model.bin is cut off or half downloaded: 1 of {last + 1} tensors" in said
    assert f"first {name}" in said
    assert "spiece.model is cut off or damaged: it has 199 bytes" in said


def test_a_part_that_is_not_there_is_named(folder: Path) -> None:
    shutil.rmtree(folder.parents[1] / "t5")

    assert "no text encoder" in fault_of(folder)


def test_weights_and_settings_of_different_kinds_are_refused_with_the_reason(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(settings(distilled=False)))

    said = fault_of(folder)

    assert "config.json is for weights that are base" in said
    assert f"in {WEIGHTS} are distilled" in said
    assert "noise" in said


def test_quantised_weights_under_another_name_are_refused(tmp_path: Path) -> None:
    folder = write_release(tmp_path, quantised=True)
    (folder / "inference_weight.fp8.distill").rename(folder / WEIGHTS)
    (folder / "config.json").write_text(json.dumps(settings()))

    assert "are fp8, and the settings are for weights that are distilled" in fault_of(folder)


def test_base_weights_in_a_folder_with_a_distilled_name_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "inference_weight")
    (folder / "config.json").write_text(json.dumps(settings(distilled=False)))
    renamed = folder.rename(folder.with_name("4.5B_distill"))

    assert "in 4.5B_distill are distilled" in fault_of(renamed)


def test_missing_unexpected_and_misshapen_weights_are_listed_at_once(folder: Path) -> None:
    shard = folder / WEIGHTS / SHARD
    tensors = load_file(shard)
    names = sorted(tensors)
    tensors["odd.weight"] = torch.zeros(1)
    tensors[names[1]] = torch.zeros(7)
    del tensors[names[0]]
    save_file(tensors, shard)

    said = fault_of(folder)

    assert "1 missing" in said
    assert "1 unexpected: odd.weight" in said
    assert "1 of another shape" in said


def test_a_folder_of_a_newer_release_says_what_is_different(tmp_path: Path) -> None:
    (tmp_path / "MAGI-1.1_24B" / "inference_weight").mkdir(parents=True)

    with pytest.raises(WeightsError, match=r"MAGI-1\.1 has other weights"):
        MagiFolder.find(tmp_path / "MAGI-1.1_24B")


def test_settings_without_a_config_file_are_those_of_the_folder_name(folder: Path) -> None:
    (folder / "config.json").unlink()
    renamed = folder.rename(folder.with_name("4.5B_distill"))

    assert MagiFolder.find(renamed).config == RELEASED["4.5B_distill"]


def test_a_shard_packed_with_zstd_is_read(folder: Path) -> None:
    import zstandard

    shard = folder / WEIGHTS / SHARD
    packed = zstandard.ZstdCompressor().compress(shard.read_bytes())
    shard.with_name(f"{SHARD}.zst").write_bytes(packed)
    shard.unlink()

    MagiFolder.find(folder).check()


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("runtime_config", {"cfg_number": 3}, "cfg_number is 3"),
        ("model_config", {"colour": 1}, "unknown keys: colour"),
        ("runtime_config", {"num_steps": 7}, "no multiple"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    section: str, change: dict[str, Any], said: str
) -> None:
    values = settings()
    values[section] = values[section] | change

    with pytest.raises(ConfigError, match=said):
        MagiConfig.from_dict(values)


def test_the_files_of_one_model_of_several_are_chosen(folder: Path) -> None:
    root = folder.parents[1]
    other = folder.parent / "other" / "inference_weight"
    other.mkdir(parents=True)
    (root / "assets.mp4").write_bytes(b"")

    with pytest.raises(StorageError, match="holds several models: other, small"):
        choose_files(root, None)
    chosen = choose_files(root, "small")

    assert f"magi/small/{WEIGHTS}/{SHARD}" in chosen
    assert "vae/diffusion_pytorch_model.safetensors" in chosen
    assert "t5/t5-v1_1-xxl/spiece.model" in chosen
    assert "magi/small/config.json" in chosen
    assert not any("other" in name or "mp4" in name for name in chosen)
