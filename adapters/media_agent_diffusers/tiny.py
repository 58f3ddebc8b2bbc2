"""Builds complete pipelines of the known families with tiny random weights.

They make noise, and quickly: right for trying the whole path from a folder of weights to a film
without a download. Run as `python -m media_agent_diffusers.tiny FOLDER --family wan`.
"""

import argparse
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import CLIPVisionModel, T5Tokenizer, UMT5EncoderModel

TEXT_WIDTH = 32  # channels of the text encoder's output
IMAGE_TOKENS = 5  # of the image encoder: 2x2 patches of 16 pixels, and the class


def main(arguments: list[str] | None = None) -> int:
    """Build one pipeline as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m media_agent_diffusers.tiny", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="new folder, for example weights/tiny-wan")
    parser.add_argument("--family", choices=sorted(BUILDERS), required=True)
    given = parser.parse_args(arguments)
    try:
        build_tiny(given.family, given.folder)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        parser.error(f"{given.folder}: {error.strerror}")
    sys.stdout.write(f"{given.folder}: a tiny {given.family} pipeline\n")
    return 0


def build_tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a pipeline of a family, one of `BUILDERS`, to a new folder and return that.

    The same seed gives the same weights. Frames of 16x16 up to a few hundred pixels can be made.

    Raises:
        FileExistsError: the folder exists and is not empty.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar

    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(17, "the folder is not empty")
    disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = BUILDERS[family]()
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _wan() -> Any:
    from diffusers import WanPipeline

    return WanPipeline(**_wan_parts(in_channels=16), transformer_2=None)


def _wan_i2v(image_tokens: int | None = None) -> Any:
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor

    return WanImageToVideoPipeline(
        **_wan_parts(in_channels=36, image_dim=4, image_tokens=image_tokens),
        image_encoder=_image_encoder(),
        image_processor=CLIPImageProcessor(size=32, crop_size=32),
        transformer_2=None,
    )


def _wan_flf2v() -> Any:
    return _wan_i2v(image_tokens=2 * IMAGE_TOKENS)


def _wan_parts(
    *, in_channels: int, image_dim: int | None = None, image_tokens: int | None = None
) -> dict[str, Any]:
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanTransformer3DModel,
    )

    tokenizer = _tokenizer()
    return {
        "tokenizer": tokenizer,
        "text_encoder": _text_encoder(len(tokenizer)),
        "vae": AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
        "transformer": WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=in_channels,
            out_channels=16,
            text_dim=TEXT_WIDTH,
            freq_dim=256,
            ffn_dim=32,
            num_layers=2,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=1024,
            image_dim=image_dim,
            added_kv_proj_dim=None if image_dim is None else 24,  # heads x width of a head
            pos_embed_seq_len=image_tokens,
        ),
    }


def _mochi() -> Any:
    import torch
    from diffusers import (
        AutoencoderKLMochi,
        FlowMatchEulerDiscreteScheduler,
        MochiPipeline,
        MochiTransformer3DModel,
    )
    from transformers import T5Config, T5EncoderModel

    tokenizer = _tokenizer()
    transformer: Any = MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        out_channels=None,
        qk_norm="rms_norm",
        text_embed_dim=TEXT_WIDTH,
        time_embed_dim=4,
        activation_fn="swiglu",
        max_sequence_length=16,
    )
    with torch.no_grad():  # torch.empty: without this two builds differ
        transformer.pos_frequencies.zero_()
    return MochiPipeline(
        tokenizer=tokenizer,
        text_encoder=T5EncoderModel(T5Config(**_text_sizes(len(tokenizer)))).eval(),
        vae=AutoencoderKLMochi(
            latent_channels=12,
            out_channels=3,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=transformer,
    )


def _tokenizer() -> "T5Tokenizer":
    from transformers import T5Tokenizer

    letters = string.ascii_letters + string.digits + string.punctuation
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    return T5Tokenizer(vocab=[*special, *((letter, -3.0) for letter in letters)], extra_ids=10)


def _text_encoder(words: int) -> "UMT5EncoderModel":
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(UMT5Config(**_text_sizes(words))).eval()


def _text_sizes(words: int) -> dict[str, Any]:
    return {
        "d_model": TEXT_WIDTH,
        "d_ff": 37,
        "d_kv": 8,
        "num_layers": 2,
        "num_heads": 4,
        "vocab_size": words,
        "relative_attention_num_buckets": 8,
    }


def _image_encoder() -> "CLIPVisionModel":
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=4,
        projection_dim=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        intermediate_size=16,
        patch_size=16,
    )
    return CLIPVisionModel(config).eval()


BUILDERS: dict[str, Callable[[], Any]] = {
    "wan": _wan,
    "wan-i2v": _wan_i2v,
    "wan-flf2v": _wan_flf2v,
    "mochi": _mochi,
}

if __name__ == "__main__":
    sys.exit(main())
