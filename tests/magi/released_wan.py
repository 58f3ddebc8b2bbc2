"""Writes a small model in the layout of Self-Forcing or LongLive: random numbers, real parts."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from media_agent_magi.engine.autoencoders.wan_vae import WanVAE
from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.wan_causal.config import LONGLIVE
from media_agent_magi.wan_causal.table import (
    UMT5_XXL,
    Umt5Sizes,
    adapter_table,
    transformer_table,
)
from media_agent_magi.wan_causal.vae_table import vae_table

CAPTIONS = (
    "a fox in snow",
    "a fox jumps over a red fence",
    "the camera pans over a quiet lake",
    "two dogs run fast through tall grass",
)
WIDTH, LENGTH, RANK, SIDE = 32, 96, 4, 32
MODEL: dict[str, Any] = {
    "dim": 48, "num_heads": 2, "ffn_dim": 64, "num_layers": 2, "text_dim": WIDTH,
    "text_len": LENGTH, "freq_dim": 32,
}  # fmt: skip
SAMPLING: dict[str, Any] = {
    "denoising_step_list": [1000, 500],
    "warp_denoising_step": True,
    "num_frame_per_block": 3,
    "context_noise": 0,
    "image_or_video_shape": [1, 21, 16, SIDE // 8, SIDE // 8],
}
TEXT = Umt5Sizes(
    layers=1, heads=4, vocabulary=160, width=WIDTH, inner=WIDTH, feed_forward=48, buckets=32
)


def settings(name: str, **changes: Any) -> dict[str, Any]:
    """The content of a config file."""
    if name == "longlive":
        own: dict[str, Any] = {
            "model_kwargs": MODEL | {"local_attn_size": 9, "sink_size": 3, "timestep_shift": 5.0},
            "global_sink": True, "use_ema": False, "generator_ckpt": "models/longlive_base.pt",
            "lora_ckpt": "models/lora.pt", "adapter": {"type": "lora", "rank": RANK, "alpha": RANK},
        }  # fmt: skip
    else:
        own = {
            "model_kwargs": MODEL | {"local_attn_size": 9, "sink_size": 3, "timestep_shift": 5.0},
            "use_ema": True, "generator_ckpt": "checkpoints/self_forcing_dmd.pt",
        }  # fmt: skip
    return SAMPLING | own | changes


def write_release(root: Path, name: str = "self-forcing") -> Path:
    """Write a model with the parts of Wan 2.1 beside it; return its folder."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "inference.yaml").write_text(yaml.safe_dump(settings(name)))
    weights = {f"model.{key}": value for key, value in transformer_state().items()}
    if name == "longlive":
        (folder / "models").mkdir()
        torch.save({"generator": weights, "step": 7}, folder / "models" / "longlive_base.pt")
        halves = {
            f"{half}_lora": adapter_state(number)
            for number, half in ((1, "generator"), (2, "critic"))
        }
        torch.save(halves, folder / "models" / "lora.pt")
    else:
        (folder / "checkpoints").mkdir()
        torch.save({"generator_ema": weights}, folder / "checkpoints" / "self_forcing_dmd.pt")
    if not (root / "wan2.1-t2v-1.3b").exists():
        write_base(root / "wan2.1-t2v-1.3b")
    return folder


def transformer_state(seed: int = 1) -> dict[str, Tensor]:
    return random_state(WanDiT(WanConfig(**MODEL)), seed)


def adapter_state(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    table = adapter_table(WanConfig(**MODEL), RANK)
    return {
        f"base_model.model.{name}": torch.randn(shape, generator=generator) * 0.1
        for name, shape in table.items()
    }


def random_state(model: nn.Module, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            numbers = torch.randn(parameter.shape, generator=generator)
            fan = max(1, parameter[0].numel()) if parameter.dim() > 1 else 25
            is_gain = "norm" in name or name.endswith("gamma")
            parameter.copy_(1 + 0.1 * numbers if is_gain else numbers / fan**0.5)
    return dict(model.state_dict())


def write_base(folder: Path) -> None:
    """Write the parts of Wan 2.1."""
    (folder / "google" / "umt5-xxl").mkdir(parents=True)
    torch.save(random_state(WanVAE(WanVAEConfig(dim=4)), 2), folder / "Wan2.1_VAE.pth")
    generator = torch.Generator().manual_seed(3)
    state = {
        name: (torch.randn(shape, generator=generator) * 0.2).bfloat16()
        for name, shape in TEXT.table().items()
    }
    torch.save(state, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    write_tokenizer(folder / "google" / "umt5-xxl" / "spiece.model")


def write_tokenizer(file: Path) -> None:
    import sentencepiece

    with file.open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CAPTIONS * 4), model_writer=model, vocab_size=60,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2, hard_vocab_limit=False,
        )  # fmt: skip


def write_hollow_longlive(root: Path) -> Path:
    """Write LongLive in its full sizes; the files have holes in place of numbers."""
    folder, base = root / "longlive", root / "wan2.1-t2v-1.3b"
    model = LONGLIVE.model
    adapter = {f"base_model.model.{name}": s for name, s in adapter_table(model, 256).items()}
    for path, table in (
        (folder / "models" / "longlive_base", transformer_table(model)),
        (folder / "models" / "lora", adapter),
        (base / "Wan2.1_VAE", vae_table(WanVAEConfig())),
        (base / "models_t5_umt5-xxl-enc-bf16", UMT5_XXL.table()),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_holes(path.with_name(f"{path.name}.safetensors"), table)
    write_tokenizer(base / "spiece.model")
    return folder


def _write_holes(file: Path, table: Mapping[str, tuple[int, ...]]) -> None:
    header, end = {}, 0
    for name, shape in table.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with file.open("wb") as writer:
        writer.write(len(text).to_bytes(8, "little") + text)
        writer.truncate(8 + len(text) + end)
