"""A small random text encoder of the CLIP kind, for the tiny pipelines."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer


def tiny_clip_tokenizer() -> "CLIPTokenizer":
    """Return a tokenizer that reads byte by byte."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    symbols = list(bytes_to_unicode().values())
    ends = [f"{symbol}</w>" for symbol in symbols]
    words = [*symbols, *ends, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def tiny_clip_text() -> "CLIPTextModel":
    """Return a text encoder for `tiny_clip_tokenizer`, of 8 channels."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=8,
        bos_token_id=512,
        eos_token_id=513,
    )
    return CLIPTextModel(config).eval()
