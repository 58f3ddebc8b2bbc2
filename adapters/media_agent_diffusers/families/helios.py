"""Helios: long videos from text or from a first frame, made window by window in one call.

Numbers are those of the authors' guide (github.com/PKU-YuanGroup/Helios); what the pipelines do
with other values was tried with diffusers 0.42. They make whole windows of 33 frames and cut what
is left after the last multiple of four, so that 66 become 65; all beyond what was asked is cut off
here.
"""

from dataclasses import replace
from typing import Any

from media_agent_diffusers.families.family import (
    Call,
    Family,
    Task,
    Variant,
    common_arguments,
    denoising_options,
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.tiny_parts import tiny_wan_components, wan_transformer_sizes
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_PLAIN, _PYRAMID = "HeliosPipeline", "HeliosPyramidPipeline"
_TOKENS = 512
_FPS = 24.0
_WINDOW = 33  # frames: nine latent ones, which is what it was trained for
_LONGEST = 44 * _WINDOW  # a minute
_STAGES = 3  # sizes that a window of a pyramid goes through
_TINY_GAMMA = 0.3  # at a third, the default, rounding can make the noise of a stage impossible
_PUBLISHED = (40, 40)  # attention heads and layers
_AMPLIFY_FIRST = OptionSpec(
    name="is_amplify_first_chunk",
    type="boolean",
    default=True,
    description="Take twice the steps for the first window, as its authors do.",
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the Helios model of a folder can do."""
    is_pyramid = files.pipeline == _PYRAMID
    is_distilled = is_pyramid and files.index.get("is_distilled") is True
    name = "Distilled" if is_distilled else "Mid" if is_pyramid else "Base"
    text = Task(
        VideoMode.TEXT_TO_VIDEO,
        files.pipeline,
        arguments=_pyramid_arguments if is_pyramid else _arguments,
        windows=_count_windows,
    )
    image = replace(text, mode=VideoMode.IMAGE_TO_VIDEO, inputs=(InputRole.FIRST_FRAME,))
    return Variant(
        title=f"Helios {name}, text or image to long video",
        source="https://github.com/PKU-YuanGroup/Helios",
        tasks=(text, image),
        options=_options(is_pyramid, is_distilled),
        frame_multiple=1,
        # each stage of a pyramid works on half the width and height of the next
        size_multiple=size_multiple(files, 8) * (2 ** (_STAGES - 1) if is_pyramid else 1),
        size=(640, 384),
        fps=_FPS,
        default_frames=4 * _WINDOW - 3,
        longest_frames=_LONGEST,
        max_tokens=_TOKENS,
        takes_negative_prompt=not is_distilled,
        in_float32=("vae",),
        licence=_licence(files),
    )


def _options(is_pyramid: bool, is_distilled: bool) -> tuple[OptionSpec, ...]:
    steps, guidance = denoising_options(steps=50, guidance=5.0)
    if not is_pyramid:
        return (steps, guidance, token_option(_TOKENS))
    each = 2 if is_distilled else 20
    per_stage = steps.model_copy(
        update={
            "name": "steps_per_stage",
            "default": each,
            "description": "Denoising steps at each of the sizes that a window goes through.",
        }
    )
    own = _AMPLIFY_FIRST if is_distilled else guidance  # guidance is distilled into the weights
    return (per_stage, own, token_option(_TOKENS))


def _count_windows(call: Call) -> int:
    """Return the fewest windows that make all frames."""
    windows = max(1, -(-call.num_frames // _WINDOW))
    made = (windows * _WINDOW - 1) // 4 * 4 + 1
    return windows if made >= call.num_frames else windows + 1


def _arguments(call: Call) -> dict[str, object]:
    return {**common_arguments(call), "num_frames": _count_windows(call) * _WINDOW}


def _pyramid_arguments(call: Call) -> dict[str, object]:
    arguments = _arguments(call)
    steps = arguments.pop("steps_per_stage")
    arguments.setdefault("guidance_scale", 1.0)
    return {**arguments, "pyramid_num_inference_steps_list": [steps] * _STAGES}


def _licence(files: ModelFiles) -> str | None:
    """Return the licence of the published models, None for others."""
    heads = files.whole_number("transformer", "num_attention_heads", 40)
    layers = files.whole_number("transformer", "num_layers", 40)
    return "Apache-2.0" if (heads, layers) == _PUBLISHED else None


def tiny_helios() -> Any:
    """Build a pipeline that makes whole windows at once."""
    from diffusers import HeliosPipeline, HeliosScheduler

    scheduler = HeliosScheduler(stages=1, stage_range=[0, 1])
    return HeliosPipeline(**_tiny_components(), scheduler=scheduler)


def tiny_helios_pyramid() -> Any:
    """Build a pipeline that makes each window at three sizes, from small to large."""
    from diffusers import HeliosPyramidPipeline, HeliosScheduler

    scheduler = HeliosScheduler(gamma=_TINY_GAMMA)
    return HeliosPyramidPipeline(**_tiny_components(), scheduler=scheduler)


def tiny_helios_distilled() -> Any:
    """Build the same for a few steps without guidance."""
    from diffusers import HeliosDMDScheduler, HeliosPyramidPipeline

    scheduler = HeliosDMDScheduler(gamma=_TINY_GAMMA)
    return HeliosPyramidPipeline(**_tiny_components(), scheduler=scheduler, is_distilled=True)


def _tiny_components() -> dict[str, Any]:
    from diffusers import HeliosTransformer3DModel

    sizes = wan_transformer_sizes()
    del sizes["rope_max_seq_len"]
    transformer = HeliosTransformer3DModel(**sizes, rope_dim=(4, 4, 4))
    return {**tiny_wan_components(), "transformer": transformer}


FAMILY = Family(
    pipelines=(_PLAIN, _PYRAMID),
    variant=read_variant,
    tiny={
        "helios": tiny_helios,
        "helios-pyramid": tiny_helios_pyramid,
        "helios-distilled": tiny_helios_distilled,
    },
)
