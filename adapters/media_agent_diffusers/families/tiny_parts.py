"""Small random components that the tiny pipelines of several families share."""

import string
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import T5EncoderModel, T5Tokenizer

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
