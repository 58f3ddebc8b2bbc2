"""Small random components that the tiny pipelines of several families share."""

import string
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import (
        CLIPVisionConfig,
        Gemma3ForConditionalGeneration,
        GemmaTokenizer,
        T5EncoderModel,
        T5Tokenizer,
    )

TEXT_WIDTH = 32
"""Channels of the text encoder's output."""


def tiny_tokenizer() -> "T5Tokenizer":
    """Return a tokenizer that reads letter by letter."""
    from transformers import T5Tokenizer

    letters = string.ascii_letters + string.digits + string.punctuation
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    return T5Tokenizer(vocab=[*special, *((letter, -3.0) for letter in letters)], extra_ids=10)


def tiny_t5(words: int) -> "T5EncoderModel":
    """Return a text encoder for so many words."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(**t5_sizes(words))).eval()


def t5_sizes(words: int) -> dict[str, Any]:
    """Return the configuration of a text encoder of the T5 kind."""
    return {
        "d_model": TEXT_WIDTH,
        "d_ff": 37,
        "d_kv": 8,
        "num_layers": 2,
        "num_heads": 4,
        "vocab_size": words,
        "relative_attention_num_buckets": 8,
    }


def tiny_wan_components(**decoder: Any) -> dict[str, Any]:
    """Return tokenizer, text encoder and decoder of the kind that Wan and its kin have.

    `decoder` is how that one differs from the decoder of Wan 2.1.
    """
    from diffusers import AutoencoderKLWan
    from transformers import UMT5Config, UMT5EncoderModel

    tokenizer = tiny_tokenizer()
    return {
        "tokenizer": tokenizer,
        "text_encoder": UMT5EncoderModel(UMT5Config(**t5_sizes(len(tokenizer)))).eval(),
        "vae": AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            **decoder,
        ),
    }


def wan_transformer_sizes(in_channels: int = 16) -> dict[str, Any]:
    """Return the configuration of a transformer of the kind that Wan and its kin have."""
    return {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": in_channels,
        "out_channels": 16,
        "text_dim": TEXT_WIDTH,
        "freq_dim": 256,
        "ffn_dim": 32,
        "num_layers": 2,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 1024,
    }


def sees_images(tokens: int | None = None) -> dict[str, Any]:
    """Return what such a transformer has besides, to be shown what `tiny_vision` made."""
    return {"image_dim": 4, "added_kv_proj_dim": 24, "pos_embed_seq_len": tokens}


def tiny_vision() -> "CLIPVisionConfig":
    """Return the configuration of an image encoder: 2x2 patches of 16 pixels, and the class."""
    from transformers import CLIPVisionConfig

    return CLIPVisionConfig(
        hidden_size=4,
        projection_dim=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        intermediate_size=16,
        patch_size=16,
    )


def tiny_gemma_tokenizer() -> "GemmaTokenizer":
    """Return a tokenizer of the Gemma kind that reads letter by letter."""
    from transformers import GemmaTokenizer

    letters = string.ascii_letters + string.digits + string.punctuation
    words = ("<pad>", "<eos>", "<bos>", "<unk>", "▁", *letters)
    return GemmaTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])


def tiny_gemma(words: int) -> "Gemma3ForConditionalGeneration":
    """Return a text encoder of the Gemma kind for so many words, with 16 channels."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    text = {
        **sizes,
        "vocab_size": words,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    vision = {**sizes, "num_hidden_layers": 1, "image_size": 32, "patch_size": 16}
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    return Gemma3ForConditionalGeneration(config).eval()
