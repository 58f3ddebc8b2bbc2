"""Writes a small model in the layout of the released MAGI-1 weights: random numbers, real parts."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.fp8 import quantised as with_fp8

WIDTH, LENGTH, SIDE = 32, 96, 64
CAPTIONS = (
    "a red circle moving right",
    "a blue square in the rain",
    "the camera pans over a quiet lake",
    "two dogs run fast through tall grass",
)
MODEL: dict[str, Any] = {
    "model_name": "videodit_ardf", "num_layers": 3, "hidden_size": 64, "ffn_hidden_size": 128,
    "num_attention_heads": 4, "num_query_groups": 2, "kv_channels": 16, "layernorm_epsilon": 1e-6,
    "apply_layernorm_1p": True, "x_rescale_factor": 1, "half_channel_vae": False,
    "params_dtype": "torch.bfloat16", "patch_size": 2, "t_patch_size": 1, "in_channels": 16,
    "out_channels": 16, "cond_hidden_ratio": 0.25, "caption_channels": WIDTH,
    "caption_max_length": LENGTH, "xattn_cond_hidden_ratio": 1.0, "cond_gating_ratio": 1.0,
    "gated_linear_unit": False,
}  # fmt: skip
RUNTIME: dict[str, Any] = {
    "cfg_t_range": [0.0, 0.0217, 0.1, 0.3, 0.999],
    "prev_chunk_scales": [1.5, 1.5, 1.5, 1.0, 1.0], "text_scales": [7.5, 7.5, 7.5, 0.0, 0.0],
    "noise2clean_kvrange": [5, 4, 3, 2], "clean_chunk_kvrange": 1, "clean_t": 0.9999,
    "seed": 1234, "num_frames": 96, "video_size_h": SIDE, "video_size_w": SIDE, "num_steps": 8,
    "window_size": 4, "fps": 24, "chunk_width": 6, "t5_device": "cpu", "scale_factor": 0.18215,
    "temporal_downsample_factor": 4,
}  # fmt: skip
VAE: dict[str, Any] = {
    "video_size": SIDE, "video_length": 16, "patch_size": 8, "patch_length": 4, "in_chans": 3,
    "z_chans": 16, "double_z": True, "embed_dim": 256, "depth": 1, "num_heads": 4,
    "mlp_ratio": 2, "qkv_bias": True, "ln_in_attn": True, "conv_last_layer": True,
    "with_cls_token": True, "norm_code": False, "use_rope": False, "use_final_proj": False,
}  # fmt: skip


def settings(
    *, distilled: bool = True, quantised: bool = False, dtype: str = "bfloat16"
) -> dict[str, Any]:
    """The content of a config file."""
    return {
        "model_config": MODEL | {"params_dtype": f"torch.{dtype}"},
        "runtime_config": RUNTIME | {"cfg_number": 1 if distilled else 3},
        "engine_config": {"distill": distilled, "fp8_quant": quantised, "cp_size": 1},
    }


def write_release(
    root: Path,
    *,
    distilled: bool = True,
    quantised: bool = False,
    shards: int = 2,
    dtype: str = "bfloat16",
) -> Path:
    """Write a model with its autoencoder and text encoder; return the model folder."""
    marks = [mark for mark, is_so in ((".fp8", quantised), (".distill", distilled)) if is_so]
    folder = root / "magi" / "small"
    weights = folder / f"inference_weight{''.join(marks)}"
    weights.mkdir(parents=True)
    text = json.dumps(settings(distilled=distilled, quantised=quantised, dtype=dtype))
    (folder / "config.json").write_text(text)
    write_shards(weights, transformer_state(quantised=quantised), shards)
    generator = torch.Generator().manual_seed(3)
    save_file(
        {
            "caption_token": torch.randn(1, WIDTH, generator=generator),
            "logo_token": torch.randn(1, WIDTH, generator=generator),
            "other_tokens": torch.randn(100, WIDTH, generator=generator),
        },
        folder / "special_tokens.safetensors",
    )
    write_vae(root / "vae")
    write_text_encoder(root / "t5" / "t5-v1_1-xxl")
    return folder


def transformer_state(*, quantised: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = VideoDiT(ModelConfig.from_dict(MODEL))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bands" not in name:
                parameter.normal_(std=0.05)
        if quantised:
            for parameter in with_fp8(model).parameters():
                if parameter.dtype == torch.float8_e4m3fn:
                    parameter.copy_((torch.randn(parameter.shape) * 0.05).to(parameter.dtype))
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def write_shards(folder: Path, state: dict[str, torch.Tensor], shards: int) -> None:
    names = sorted(state)
    each = -(-len(names) // shards)
    places = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = names[number * each : (number + 1) * each]
        save_file({name: state[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_vae(folder: Path) -> None:
    folder.mkdir(parents=True)
    torch.manual_seed(2)
    vae = ViTVAE(ViTVAEConfig.from_dict(VAE))
    with torch.no_grad():
        for name in ("cls_token", "pos_embed"):
            getattr(vae.encoder, name).normal_(std=0.5)
            getattr(vae.decoder, name).normal_(std=0.5)
    (folder / "config.json").write_text(json.dumps({"ddconfig": VAE | {"model_type": "vit"}}))
    save_file(vae.state_dict(), folder / "diffusion_pytorch_model.safetensors")


def write_text_encoder(folder: Path) -> None:
    import sentencepiece
    from transformers import T5Config, T5EncoderModel
    from transformers.utils import logging

    folder.mkdir(parents=True)
    torch.manual_seed(4)
    config = T5Config(
        vocab_size=160, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=4,
        feed_forward_proj="gated-gelu", pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    logging.disable_progress_bar()
    T5EncoderModel(config).save_pretrained(folder)
    with (folder / "spiece.model").open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CAPTIONS * 4), model_writer=model, vocab_size=60,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2, hard_vocab_limit=False,
        )  # fmt: skip
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "T5Tokenizer", "extra_ids": 100})
    )
