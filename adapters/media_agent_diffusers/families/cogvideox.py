"""CogVideoX 1.0 and 1.5: from text, from a first frame, or a video restyled.

Sizes, lengths, rates and licences are those of the authors' model cards; what a pipeline does with
other values was tried with diffusers 0.42. The decoder gives 8k+1 frames and rounds others without
a word: 5 become 8, 13 become 16.
"""

from typing import Any

from media_agent_diffusers.families.family import (
    Family,
    Task,
    Variant,
    denoising_options,
    size_multiple,
)
from media_agent_diffusers.families.restyle import restyle_task
from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, tiny_t5, tiny_tokenizer
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_TEXT = "CogVideoXPipeline"
_IMAGE = "CogVideoXImageToVideoPipeline"
_VIDEO = "CogVideoXVideoToVideoPipeline"
_PIXELS = 8  # to a latent, each way
_LICENCES = {(30, 30): "Apache-2.0", (48, 42): "cogvideox-license"}
"""By attention heads and layers: the 2B model, and those of 5B (huggingface.co/zai-org)."""
_DYNAMIC_GUIDANCE = OptionSpec(
    name="use_dynamic_cfg",
    type="boolean",
    default=False,
    description="Let the pull of the prompt grow from step to step up to guidance_scale.",
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the CogVideoX model of a folder can do."""
    is_new = files.configs["transformer"].get("patch_size_t") is not None  # 1.5
    own = _own_size(files)
    longest = 161 if is_new else 49
    return Variant(
        title=_title(files, is_new),
        source="https://huggingface.co/zai-org",
        tasks=_tasks(files, is_new),
        options=(*denoising_options(steps=50, guidance=6.0), _DYNAMIC_GUIDANCE),
        frame_multiple=16 if is_new else 8,
        size_multiple=size_multiple(files, _PIXELS),
        size=(min(own[0], 1360), min(own[1], 768)) if is_new else own,
        fps=16.0 if is_new else 8.0,
        default_frames=81 if is_new else 49,
        longest_frames=longest,
        max_tokens=files.whole_number("transformer", "max_text_seq_length", 226),
        sizes=() if is_new else (own,),
        largest=(min(own[0], 2048), min(own[1], 2048)),  # positions beyond it are not known
        licence=_licence(files),
    )


def _licence(files: ModelFiles) -> str | None:
    """Return the licence of the published model of this shape, None if there is none."""
    heads = files.whole_number("transformer", "num_attention_heads", 30)
    layers = files.whole_number("transformer", "num_layers", 30)
    return _LICENCES.get((heads, layers))


def _own_size(files: ModelFiles) -> tuple[int, int]:
    """Return the width and height that the positions of the transformer are laid out for."""
    width = files.whole_number("transformer", "sample_width", 90)
    height = files.whole_number("transformer", "sample_height", 60)
    return width * _PIXELS, height * _PIXELS


def _title(files: ModelFiles, is_new: bool) -> str:
    begins = "image" if files.pipeline == _IMAGE else "text" if is_new else "text or video"
    return f"CogVideoX{' 1.5' if is_new else ''}, {begins} to video"


def _tasks(files: ModelFiles, is_new: bool) -> tuple[Task, ...]:
    if files.pipeline == _IMAGE:
        return (Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, (InputRole.FIRST_FRAME,)),)
    text = Task(VideoMode.TEXT_TO_VIDEO, _TEXT)
    if is_new:  # diffusers refuses a source video whose latent frames are odd in number, as here
        return (text,)
    return text, restyle_task(_VIDEO)


def tiny_cogvideox() -> Any:
    """Build a pipeline that makes videos from text."""
    from diffusers import CogVideoXPipeline

    return CogVideoXPipeline(**_tiny_components(in_channels=4))


def tiny_cogvideox_i2v() -> Any:
    """Build a pipeline that makes videos from a first frame, with learned positions."""
    from diffusers import CogVideoXImageToVideoPipeline

    components = _tiny_components(
        in_channels=8,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
    )
    return CogVideoXImageToVideoPipeline(**components)


def tiny_cogvideox_1_5() -> Any:
    """Build a pipeline of the later kind, with patches two frames long."""
    from diffusers import CogVideoXPipeline

    patches = {"patch_size_t": 2, "use_rotary_positional_embeddings": True}
    return CogVideoXPipeline(**_tiny_components(in_channels=4, **patches))


def _tiny_components(*, in_channels: int, **positions: Any) -> dict[str, Any]:
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXTransformer3DModel,
    )

    tokenizer = tiny_tokenizer()
    return {
        "tokenizer": tokenizer,
        "text_encoder": tiny_t5(len(tokenizer)),
        "vae": AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
            sample_height=32,
            sample_width=32,
        ),
        "scheduler": CogVideoXDDIMScheduler(),
        "transformer": CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=in_channels,
            out_channels=4,
            time_embed_dim=2,
            text_embed_dim=TEXT_WIDTH,
            num_layers=1,
            sample_width=4,  # latents: videos of 32x32
            sample_height=4,
            sample_frames=9,
            max_text_seq_length=64,
            **positions,
        ),
    }


FAMILY = Family(
    pipelines=(_TEXT, _IMAGE, _VIDEO),
    variant=read_variant,
    tiny={
        "cogvideox": tiny_cogvideox,
        "cogvideox-i2v": tiny_cogvideox_i2v,
        "cogvideox-1.5": tiny_cogvideox_1_5,
    },
)
