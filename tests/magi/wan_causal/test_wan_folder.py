"""Folders in the layouts of Self-Forcing and LongLive: found, checked, and refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.wan_causal.folder import NoModelError, WanCausalFolder
from media_agent_magi.wan_causal.loader import read_adapter_of
from media_agent_magi.wan_causal.settings import PRESETS, released_settings
from tests.magi.released_wan import adapter_state, settings

Checkpoint = dict[str, Any]


@pytest.fixture
def root(releases: Path, tmp_path: Path) -> Path:
    return shutil.copytree(releases, tmp_path / "models")


def find_refusal(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        WanCausalFolder.find(folder).check()
    return str(caught.value)


def change(file: Path, how: Any) -> None:
    content = torch.load(file, weights_only=True)
    how(content)
    torch.save(content, file)


def say(folder: Path, **changes: Any) -> None:
    (folder / "inference.yaml").write_text(yaml.safe_dump(settings(folder.name, **changes)))


@pytest.mark.parametrize("name", ["self-forcing", "longlive"])
def test_a_folder_as_it_is_fetched_is_found_whole(releases: Path, name: str) -> None:
    found = WanCausalFolder.find(releases / name)
    found.check()

    assert found.config.name == name
    assert found.config.size == (32, 32)
    assert found.config.causal.window == 9
    assert (found.adapter is not None) == (name == "longlive")
    assert found.vae.parent == releases / "wan2.1-t2v-1.3b"


def test_a_checkout_of_the_released_code_is_found_too(root: Path) -> None:
    folder = root / "self-forcing"
    (folder / "wan_models").mkdir()
    (root / "wan2.1-t2v-1.3b").rename(folder / "wan_models" / "Wan2.1-T2V-1.3B")

    WanCausalFolder.find(folder).check()


def test_every_file_may_be_safetensors(root: Path) -> None:
    for file in sorted(root.rglob("*.pt")) + sorted(root.rglob("*.pth")):
        content = torch.load(file, weights_only=True)
        entries = ("generator_ema", "generator", "generator_lora")
        content = next((content[entry] for entry in entries if entry in content), content)
        save_file(content, file.with_suffix(".safetensors"))
        file.unlink()

    WanCausalFolder.find(root / "self-forcing").check()
    WanCausalFolder.find(root / "longlive").check()


def test_names_of_a_sharded_training_run_are_read(root: Path) -> None:
    def wrap(content: Checkpoint) -> None:
        inner = content["generator_ema"]
        names = {n: n.replace("model.", "model._fsdp_wrapped_module.", 1) for n in inner}
        content["generator_ema"] = {names[name]: tensor for name, tensor in inner.items()}

    change(root / "self-forcing/checkpoints/self_forcing_dmd.pt", wrap)

    WanCausalFolder.find(root / "self-forcing").check()


def test_without_a_config_file_a_release_is_known_by_its_name(root: Path) -> None:
    (root / "self-forcing" / "inference.yaml").unlink()

    found = WanCausalFolder.find(root / "self-forcing")

    assert found.config == PRESETS["self-forcing"]
    assert found.entry == released_settings("self-forcing").checkpoint.entry == "generator_ema"
    assert "does not fit the model" in find_refusal(root / "self-forcing")  # it is a small one


def test_the_entry_that_the_settings_name_must_be_there(root: Path) -> None:
    say(root / "self-forcing", use_ema=False)

    said = find_refusal(root / "self-forcing")

    assert "self_forcing_dmd.pt has no entry 'generator'; it holds generator_ema" in said


def test_the_base_of_longlive_alone_is_refused(root: Path) -> None:
    (root / "longlive/models/lora.pt").unlink()

    assert "without its adapter lora.pt is not LongLive" in find_refusal(root / "longlive")


def test_an_adapter_beside_self_forcing_is_refused(root: Path) -> None:
    shutil.copy(root / "longlive/models/lora.pt", root / "self-forcing/checkpoints")

    assert "is an adapter of LongLive" in find_refusal(root / "self-forcing")


def test_a_checkpoint_with_the_settings_of_another_is_refused(root: Path) -> None:
    say(root / "longlive", lora_ckpt=None, adapter=None)

    assert "longlive_base.pt is longlive" in find_refusal(root / "longlive")


def test_all_differences_are_named_at_once(root: Path) -> None:
    def damage(content: Checkpoint) -> None:
        inner = content["generator_ema"]
        del inner["model.head.head.bias"], inner["model.blocks.0.norm3.bias"]
        inner["model.blocks.1.modulation"] = torch.zeros(1, 6, 50)
        inner["model.extra"] = torch.zeros(1)

    change(root / "self-forcing/checkpoints/self_forcing_dmd.pt", damage)
    change(root / "wan2.1-t2v-1.3b/Wan2.1_VAE.pth", lambda content: content.pop("conv1.bias"))

    said = find_refusal(root / "self-forcing")

    assert "2 missing: blocks.*.norm3.bias, head.head.bias" in said
    assert "1 unexpected: extra" in said
    assert "blocks.*.modulation (1, 6, 50), not (1, 6, 48)" in said
    assert "1 missing: conv1.bias" in said


def test_an_adapter_of_another_model_is_refused(root: Path) -> None:
    def shrink(content: Checkpoint) -> None:
        content["generator_lora"] = {
            name: tensor for name, tensor in adapter_state(1).items() if "blocks.1" not in name
        }

    change(root / "longlive/models/lora.pt", shrink)

    said = find_refusal(root / "longlive")

    assert "20 missing: " in said
    assert "blocks.*.self_attn.q.lora_A.weight" in said


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Wan2.1_VAE.pth", "no autoencoder beside"),
        ("models_t5_umt5-xxl-enc-bf16.pth", "no text encoder beside"),
        ("google/umt5-xxl/spiece.model", "no tokenizer beside"),
    ],
)
def test_a_missing_part_is_named(root: Path, name: str, reason: str) -> None:
    (root / "wan2.1-t2v-1.3b" / name).unlink()

    assert reason in find_refusal(root / "longlive")


def test_a_half_downloaded_part_is_named(root: Path) -> None:
    vae = root / "wan2.1-t2v-1.3b/Wan2.1_VAE.pth"
    vae.rename(vae.with_name("Wan2.1_VAE.pth.0123456789ab.part"))

    assert "Wan2.1_VAE.pth.0123456789ab.part is half downloaded" in find_refusal(root / "longlive")


def test_a_file_that_is_cut_off_is_named(root: Path) -> None:
    file = root / "longlive/models/lora.pt"
    file.write_bytes(file.read_bytes()[:-1000])

    assert "lora.pt is cut off or damaged" in find_refusal(root / "longlive")


def test_a_tokenizer_and_weights_that_are_cut_off_are_named_at_once(root: Path) -> None:
    base = root / "wan2.1-t2v-1.3b"
    for name, size in (("google/umt5-xxl/spiece.model", 99), ("Wan2.1_VAE.pth", 5000)):
        (base / name).write_bytes((base / name).read_bytes()[:size])

    said = find_refusal(root / "longlive")

    assert "spiece.model is cut off or damaged: it has 99 bytes" in said
    assert "Wan2.1_VAE.pth is cut off or damaged" in said


def test_an_encoder_that_is_cut_off_hides_no_other_fault(root: Path) -> None:
    text = root / "wan2.1-t2v-1.3b/models_t5_umt5-xxl-enc-bf16.pth"
    for file in (text, root / "longlive/models/lora.pt"):
        file.write_bytes(file.read_bytes()[:-1000])

    said = find_refusal(root / "longlive")

    assert f"{text.name} is cut off" in said
    assert "lora.pt is cut off" in said


def test_what_is_no_tensor_is_refused_and_never_run(root: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"generator_ema": Trap()}, root / "self-forcing/checkpoints/self_forcing_dmd.pt")

    assert "and only tensors are read" in find_refusal(root / "self-forcing")
    assert not (tmp_path / "ran").exists()


def test_another_layout_is_told_from_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()

    with pytest.raises(NoModelError, match=r"longlive_base\.pt, self_forcing_dmd\.pt is wanted"):
        WanCausalFolder.find(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"adapter": "lora"}, "adapter must be a section, not a str"),
        ({"adapter": {"alpha": "256"}}, "adapter.alpha must be a number, not '256'"),
        ({"adapter": {"alpha": -3}}, "adapter.alpha must be above 0, not -3"),
        ({"model_kwargs": [1]}, "model_kwargs must be a section, not a list"),
        ({"local_attn_size": 9.5}, "local_attn_size must be a whole number, not 9.5"),
        ({"sink_size": True}, "sink_size must be a whole number, not True"),
        ({"timestep_shift": float("inf")}, "timestep_shift must be a number, not inf"),
        ({"warp_denoising_step": "no"}, "warp_denoising_step must be true or false, not 'no'"),
        ({"denoising_step_list": "1000"}, "denoising_step_list must be a list of numbers"),
        ({"image_or_video_shape": [1, 21, 16, 0, -4]}, "says -32x0 pixels"),
        ({"image_or_video_shape": "abc"}, "must be a list of at least two numbers"),
        ({"generator_ckpt": [1]}, "generator_ckpt must be a text, not a list"),
    ],
)
def test_settings_of_another_kind_are_refused_by_name(
    root: Path, changes: dict[str, Any], reason: str
) -> None:
    own = settings("longlive")
    own["model_kwargs"] = {k: v for k, v in own["model_kwargs"].items() if k not in changes}
    (root / "longlive" / "inference.yaml").write_text(yaml.safe_dump(own | changes))

    assert reason in find_refusal(root / "longlive")


@pytest.mark.parametrize("text", ["[" * 100_000, "day: 2026-13-45"])
def test_what_yaml_cannot_read_is_refused(root: Path, text: str) -> None:
    (root / "longlive" / "inference.yaml").write_text(text)

    assert "is no YAML" in find_refusal(root / "longlive")


def test_aliases_that_would_fill_the_memory_are_refused_at_once(root: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    text = "\n".join([*lines, "denoising_step_list: *a19"])
    (root / "longlive" / "inference.yaml").write_text(text)

    assert "denoising_step_list must be a number, not a list" in find_refusal(root / "longlive")


def test_an_adapter_without_a_rank_is_refused(root: Path) -> None:
    def flatten(content: Checkpoint) -> None:
        content["generator_lora"] = {n: torch.zeros(()) for n in content["generator_lora"]}

    change(root / "longlive" / "models" / "lora.pt", flatten)

    assert "lora" in find_refusal(root / "longlive")


@pytest.mark.parametrize("half", ["lora_A", "lora_B"])
def test_an_adapter_of_two_ranks_is_refused(root: Path, half: str) -> None:
    name = f"base_model.model.blocks.1.ffn.0.{half}.weight"

    def shrink(content: Checkpoint) -> None:
        tensor = content["generator_lora"][name]
        content["generator_lora"][name] = tensor[:3] if half == "lora_A" else tensor[:, :3]

    change(root / "longlive" / "models" / "lora.pt", shrink)

    said = find_refusal(root / "longlive")

    assert f"lora.pt holds no adapter of one rank, but of 3 (blocks.1.ffn.0.{half}.weight)" in said
    assert "4 (blocks.0.self_attn.q.lora_A.weight)" in said


def test_an_adapter_of_another_rank_than_the_settings_say_is_refused(root: Path) -> None:
    say(root / "longlive", adapter={"rank": 8, "alpha": 8})

    assert "lora.pt has rank 4, and the settings say 8" in find_refusal(root / "longlive")


def test_without_a_word_on_the_adapter_it_is_the_released_one(root: Path) -> None:
    say(root / "longlive", adapter={"type": "lora"})

    assert "lora.pt has rank 4, and the settings say 256" in find_refusal(root / "longlive")


def test_rank_and_alpha_of_the_settings_scale_the_adapter(root: Path) -> None:
    say(root / "longlive", adapter={"rank": 4, "alpha": 6})
    folder = WanCausalFolder.find(root / "longlive")

    adapter = read_adapter_of(folder, WanDiT(folder.config.model))

    assert {added.scale for added in adapter.values()} == {1.5}


@pytest.mark.parametrize(
    ("adapter", "reason"),
    [
        ({"rank": 0}, "adapter.rank must be above 0, not 0"),
        ({"rank": 4.5}, "adapter.rank must be a whole number, not 4.5"),
        ({"rank": 4, "alpha": -1}, "adapter.alpha must be above 0, not -1"),
    ],
)
def test_numbers_of_an_adapter_that_cannot_be_are_refused(
    root: Path, adapter: Checkpoint, reason: str
) -> None:
    say(root / "longlive", adapter=adapter)

    assert reason in find_refusal(root / "longlive")
