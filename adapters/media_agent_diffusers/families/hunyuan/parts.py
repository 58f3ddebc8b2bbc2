"""What HunyuanVideo, Framepack and HunyuanVideo 1.5 share: the licence, and small components."""

import inspect
import string
from typing import TYPE_CHECKING, Any

from media_agent_diffusers.families.clip_parts import tiny_clip_text, tiny_clip_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaTokenizer

LICENCE = "tencent-hunyuan-community"
"""Not for use in the European Union, the United Kingdom and South Korea; terms of its own above 100
million users a month (github.com/Tencent-Hunyuan/HunyuanVideo, LICENSE.txt)."""
_TINY_LLAMA: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 4,  # the output of the third last is taken
    "num_attention_heads": 2,
}
_TEMPLATE_WORDS = (
    *("\n\n", "<image>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("system", "user", "assistant"),
)


def tiny_components() -> dict[str, Any]:
    """Return all but the transformer of HunyuanVideo."""
    from diffusers import AutoencoderKLHunyuanVideo, FlowMatchEulerDiscreteScheduler
    from transformers import LlamaConfig, LlamaModel

    return {
        "tokenizer": _tiny_llama_tokenizer(),
        "text_encoder": LlamaModel(LlamaConfig(**_TINY_LLAMA)).eval(),
        "tokenizer_2": tiny_clip_tokenizer(),
        "text_encoder_2": tiny_clip_text(),
        "vae": AutoencoderKLHunyuanVideo(
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
    }


def tiny_llava() -> dict[str, Any]:
    """Return the text encoder of the image model, which is shown the image, with its tokenizer.

    The pipeline counts on 576 patches, on a template of about 100 tokens, and on the number 271 for
    an empty line.
    """
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    tokenizer = _tiny_llama_tokenizer(empty_line=271)
    tokenizer.add_tokens([*_TEMPLATE_WORDS, *_cut_template()], special_tokens=True)
    vision = CLIPVisionConfig(
        hidden_size=4,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=48,
        patch_size=2,
        projection_dim=4,
    )
    text = LlamaConfig(**_TINY_LLAMA | {"vocab_size": 512, "pad_token_id": 3})
    numbers: dict[str, Any] = {
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "pad_token_id": 3,
    }
    config = LlavaConfig(vision_config=vision, text_config=text, **numbers)
    return {
        "tokenizer": tokenizer,
        "text_encoder": LlavaForConditionalGeneration(config).eval(),
        "image_processor": CLIPImageProcessor(size=48, crop_size=48),
    }


def _cut_template() -> list[str]:
    """Return what the template of the pipeline says, in 90 pieces."""
    from diffusers import HunyuanVideoImageToVideoPipeline

    parameters = inspect.signature(HunyuanVideoImageToVideoPipeline.__call__).parameters
    template: str = parameters["prompt_template"].default["template"]
    said = template.partition("<image>\n")[2].partition("<|eot_id|>")[0]
    length = -(-len(said) // 90)
    return list(
        dict.fromkeys(said[start : start + length] for start in range(0, len(said), length))
    )


def tiny_siglip() -> dict[str, Any]:
    """Return an image encoder of four patches, and what prepares images for it."""
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    return {
        "image_encoder": SiglipVisionModel(config).eval(),
        "feature_extractor": SiglipImageProcessor(size={"height": 16, "width": 16}),
    }


def _tiny_llama_tokenizer(empty_line: int | None = None) -> "LlamaTokenizer":
    """Return a tokenizer that reads letter by letter, and an empty line as a token if asked."""
    from transformers import LlamaTokenizer

    letters = string.ascii_letters + string.digits + string.punctuation
    words = ["<unk>", "<s>", "</s>", "<pad>", "▁", *letters]
    if empty_line is not None:
        words += [*(f"<unused-{number}>" for number in range(len(words), empty_line)), "\n\n"]
    return LlamaTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=[],
        pad_token="<pad>",  # a word, not a password
        padding_side="left",
    )
