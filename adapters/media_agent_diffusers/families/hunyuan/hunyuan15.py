"""HunyuanVideo 1.5: from text or from a first frame.

Numbers and licence are those that the authors publish; what a pipeline does with other values was
tried with diffusers 0.42. How strongly it is guided is not an argument but part of the folder
(`guider`). The image pipeline takes no size: it makes the one that is nearest to the shape of the
image, out of about a hundred.
"""

from typing import Any

from media_agent_diffusers.families.family import (
    Call,
    Family,
    Task,
    Variant,
    common_arguments,
    denoising_options,
    flow_shift_options,
    size_multiple,
)
from media_agent_diffusers.families.hunyuan.parts import LICENCE, tiny_siglip
from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, t5_sizes
from media_agent_diffusers.files import ModelFiles, read_json
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_TEXT, _IMAGE = "HunyuanVideo15Pipeline", "HunyuanVideo15ImageToVideoPipeline"
_TOKENS = 1000
_PUBLISHED = (16, 54)  # attention heads and layers
_SIZES = {
    640: ((848, 480), (480, 832), (720, 544), (544, 736), (640, 640)),
    960: ((1280, 720), (704, 1280), (1088, 832), (832, 1104), (960, 960)),
}
"""By what a model was trained for, 480p or 720p: sizes that an image of that shape becomes."""


def read_variant(files: ModelFiles) -> Variant:
    """Return what the HunyuanVideo 1.5 model of a folder can do."""
    from_image = files.pipeline == _IMAGE
    trained = files.whole_number("transformer", "target_size", 640)
    sizes = _SIZES.get(trained, ((trained, trained),))
    begin = "image" if from_image else "text"
    return Variant(
        title=f"HunyuanVideo 1.5, {begin} to video",
        source="https://github.com/Tencent-Hunyuan/HunyuanVideo-1.5",
        tasks=(_read_task(from_image),),
        options=(
            denoising_options(steps=50, guidance=6.0)[0],
            *flow_shift_options(files, None),
        ),
        frame_multiple=files.whole_number("vae", "temporal_compression_ratio", 4),
        size_multiple=size_multiple(
            files, files.whole_number("vae", "spatial_compression_ratio", 16)
        ),
        size=sizes[0],
        fps=24.0,
        default_frames=121,
        longest_frames=121,
        max_tokens=_TOKENS,
        sizes=sizes if from_image else (),
        takes_negative_prompt=_is_guided(files),
        negative_option=None,
        licence=_licence(files),
    )


def _read_task(from_image: bool) -> Task:
    if from_image:
        first = (InputRole.FIRST_FRAME,)
        return Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, first, arguments=_image_arguments)
    return Task(VideoMode.TEXT_TO_VIDEO, _TEXT, arguments=_arguments)


def _arguments(call: Call) -> dict[str, object]:
    arguments = common_arguments(call)
    del arguments["max_sequence_length"]
    return arguments


def _image_arguments(call: Call) -> dict[str, object]:
    """Return the arguments without a size, which is that of the image."""
    arguments = _arguments(call)
    del arguments["width"], arguments["height"]
    return arguments


def _is_guided(files: ModelFiles) -> bool:
    """Return whether the folder guides away from a negative prompt; distilled models do not."""
    name = "guider/guider_config.json"
    guider = read_json(files.path, name) if (files.path / name).is_file() else {}
    scale = guider.get("guidance_scale", 6.0)
    return guider.get("enabled") is not False and isinstance(scale, int | float) and scale > 1


def _licence(files: ModelFiles) -> str | None:
    """Return the licence of the published models, None for others."""
    heads = files.whole_number("transformer", "num_attention_heads", 16)
    layers = files.whole_number("transformer", "num_layers", 54)
    return LICENCE if (heads, layers) == _PUBLISHED else None


def tiny_hunyuan_1_5() -> Any:
    """Build a pipeline that makes videos from text."""
    from diffusers import HunyuanVideo15Pipeline

    return HunyuanVideo15Pipeline(**_tiny_components("t2v"))


def tiny_hunyuan_1_5_i2v() -> Any:
    """Build a pipeline that makes videos from a first frame."""
    from diffusers import HunyuanVideo15ImageToVideoPipeline

    return HunyuanVideo15ImageToVideoPipeline(**_tiny_components("i2v"), **tiny_siglip())


def _tiny_components(task: str) -> dict[str, Any]:
    from diffusers import (
        AutoencoderKLHunyuanVideo15,
        ClassifierFreeGuidance,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideo15Transformer3DModel,
    )
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    return {
        **_tiny_qwen(),
        "tokenizer_2": ByT5Tokenizer(),
        "text_encoder_2": T5EncoderModel(T5Config(**t5_sizes(384))).eval(),
        "vae": AutoencoderKLHunyuanVideo15(
            latent_channels=4, block_out_channels=(16, 16, 16, 16, 16), layers_per_block=1
        ),
        "transformer": HunyuanVideo15Transformer3DModel(
            in_channels=9,  # noise, the image, and where it is
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=1,
            num_refiner_layers=1,
            text_embed_dim=16,
            text_embed_2_dim=TEXT_WIDTH,
            image_embed_dim=8,
            rope_axes_dim=(2, 2, 4),
            target_size=32,
            task_type=task,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=5.0),
        "guider": ClassifierFreeGuidance(guidance_scale=6.0),
    }


def _tiny_qwen() -> dict[str, Any]:
    """Return a text encoder that reads byte by byte, with its tokenizer."""
    from transformers import Qwen2_5_VLTextModel, Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig

    words = [*bytes_to_unicode().values(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2Tokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    )
    config = Qwen2_5_VLTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=4,  # the output of the third last is taken
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=None,
        rope_parameters={
            "rope_type": "default",
            "mrope_section": [1, 1, 2],
            "rope_theta": 1_000_000.0,
        },
    )
    return {"tokenizer": tokenizer, "text_encoder": Qwen2_5_VLTextModel(config).eval()}


FAMILY = Family(
    pipelines=(_TEXT, _IMAGE),
    variant=read_variant,
    tiny={"hunyuan-1.5": tiny_hunyuan_1_5, "hunyuan-1.5-i2v": tiny_hunyuan_1_5_i2v},
)
