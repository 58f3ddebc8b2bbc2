"""LTX-2, 2.3 and 2.5: video with its audio, from text, from images at any place, or continued.

Defaults are those of https://huggingface.co/docs/diffusers/api/pipelines/ltx2 and of the pipelines'
own documentation; what a pipeline does with other values was tried with diffusers 0.42. Conditions
are placed by latents, and one that lies beyond the video is left out without a word.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from media_agent_diffusers.families.family import (
    Call,
    Family,
    Task,
    Variant,
    denoising_options,
    history_option,
    token_option,
)
from media_agent_diffusers.families.ltx.parts import (
    HISTORIES,
    HISTORY,
    conditioned_arguments,
    decode_options,
    frames_to_a_latent,
    is_distilled,
    keyframe_task,
    list_conditions,
    number_option,
    rated_arguments,
    side_multiple,
)
from media_agent_diffusers.families.tiny_parts import tiny_gemma, tiny_gemma_tokenizer
from media_agent_diffusers.files import ModelFiles, unusable
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_TEXT, _IMAGE = "LTX2Pipeline", "LTX2ImageToVideoPipeline"
_CONDITION = "LTX2ConditionPipeline"
_TOKENS = 1024
_LAYERS = 48  # of the published models
_DISTILLED_STEPS = 8
_MOST_HZ = 384_000  # beyond what is recorded or played


@dataclass(frozen=True, slots=True)
class _Model:
    """What is published about one model."""

    title: str
    steps: int
    guidance: float
    audio_guidance: float
    stg: float = 0.0
    modality: float = 1.0
    rescale: float = 0.0
    stg_block: int = 28
    crosses_timesteps: bool = True
    """How audio and video see each other's noise; 2.0 did it in another way."""
    licence: str = "ltx-2-community-license-agreement"


_2_0 = _Model("LTX-2", 40, 4.0, 4.0, stg_block=29, crosses_timesteps=False)
_2_3 = _Model("LTX-2.3", 30, 3.0, 7.0, stg=1.0, modality=3.0, rescale=0.7)
_2_5 = replace(_2_3, title="LTX-2.5", licence="ltx-2.x-community-license")


def read_variant(files: ModelFiles) -> Variant:
    """Return what the LTX-2 model of a folder can do."""
    model = _find_model(files)
    _check_rate(files)
    layers = files.whole_number("transformer", "num_layers", _LAYERS)
    return Variant(
        title=f"{model.title}, video with audio",
        source="https://huggingface.co/docs/diffusers/api/pipelines/ltx2",
        tasks=_list_tasks(files, model, min(model.stg_block, layers - 1)),
        options=(
            *denoising_options(steps=model.steps, guidance=model.guidance),
            number_option(
                "audio_guidance_scale",
                model.audio_guidance,
                "Pull of the prompt on the audio",
                maximum=100.0,
            ),
            number_option(
                "stg_scale", model.stg, "Pull away from weaker results; 0: none", maximum=10.0
            ),
            number_option(
                "modality_scale",
                model.modality,
                "Pull of audio and video on each other; 1: none",
                maximum=10.0,
            ),
            number_option("guidance_rescale", model.rescale, "Contrast of guidance taken back"),
            *decode_options(files),
            token_option(_TOKENS),
        ),
        frame_multiple=frames_to_a_latent(files),
        size_multiple=side_multiple(files),
        size=(768, 512),
        fps=24.0,
        default_frames=121,
        longest_frames=481,  # 20 s
        max_tokens=_TOKENS,
        licence=model.licence if layers == _LAYERS else None,
        makes_audio=True,
    )


def _check_rate(files: ModelFiles) -> None:
    """Check the rate of the audio; it is read only once the video is made.

    Raises:
        StorageError: it is none that audio can have.
    """
    rate = files.configs["vocoder"].get("output_sampling_rate", 1)
    if type(rate) is not int or not 1 <= rate <= _MOST_HZ:
        raise unusable(files.path, f"vocoder/config.json says output_sampling_rate = {rate!r}")


def _find_model(files: ModelFiles) -> _Model:
    transformer = files.configs["transformer"]
    model = _2_3 if transformer.get("cross_attn_mod") else _2_0
    if transformer.get("use_keyframes_abs_pos_embedding"):
        model = _2_5
    if not is_distilled(files):
        return model
    return replace(
        model,
        title=f"{model.title} distilled",
        steps=_DISTILLED_STEPS,
        guidance=1.0,
        audio_guidance=1.0,
        stg=0.0,
        modality=1.0,
        rescale=0.0,
    )


def _list_tasks(files: ModelFiles, model: _Model, stg_block: int) -> tuple[Task, ...]:
    own = {
        "use_cross_timestep": model.crosses_timesteps,
        "spatio_temporal_guidance_blocks": [stg_block],
        # as for the frames
        "audio_stg_scale": None,
        "audio_modality_scale": None,
        "audio_guidance_rescale": None,
    }
    has_sigmas = is_distilled(files)
    plain = partial(_arguments, own, has_sigmas)
    text = Task(VideoMode.TEXT_TO_VIDEO, _TEXT, arguments=plain)
    image = Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, (InputRole.FIRST_FRAME,), arguments=plain)
    extend = Task(
        VideoMode.VIDEO_EXTEND,
        _CONDITION,
        inputs=(InputRole.SOURCE_VIDEO,),
        options=(history_option(HISTORY, HISTORIES),),
        arguments=partial(_conditioned, own, has_sigmas, frames_to_a_latent(files)),
        history=HISTORY,
    )
    return text, image, keyframe_task(replace(extend, options=(), history=0)), extend


def _arguments(own: dict[str, object], has_sigmas: bool, call: Call) -> dict[str, object]:
    return _with_sigmas({**rated_arguments(call), **own}, has_sigmas)


def _conditioned(
    own: dict[str, object], has_sigmas: bool, frames_to_a_latent: int, call: Call
) -> dict[str, object]:
    from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition

    conditions = [
        LTX2VideoCondition(frames=pixels, index=frame // frames_to_a_latent)
        for frame, pixels in list_conditions(call)
    ]
    arguments = {**conditioned_arguments(call), **own, "conditions": conditions}
    return _with_sigmas(arguments, has_sigmas)


def _with_sigmas(arguments: dict[str, object], has_sigmas: bool) -> dict[str, object]:
    """Add the noise of each step that distilled models were made for, if there are as many."""
    if not has_sigmas or arguments["num_inference_steps"] != _DISTILLED_STEPS:
        return arguments
    from diffusers.pipelines.ltx2.utils import DISTILLED_SIGMA_VALUES

    return {**arguments, "sigmas": list(DISTILLED_SIGMA_VALUES)}


def tiny_ltx2() -> Any:
    """Build a pipeline that makes videos with audio, from text."""
    from diffusers import LTX2Pipeline

    return LTX2Pipeline(**_tiny_components())


def _tiny_components() -> dict[str, Any]:
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

    tokenizer = tiny_gemma_tokenizer()
    heads = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1}
    connectors = {
        f"{kind}_connector_{name}": size
        for kind in ("video", "audio")
        for name, size in {**heads, "num_learnable_registers": None}.items()
    }
    return {
        "tokenizer": tokenizer,
        "text_encoder": tiny_gemma(len(tokenizer)),
        "connectors": LTX2TextConnectors(
            caption_channels=16,
            text_proj_in_factor=3,  # layers of the text encoder, and its input
            **connectors,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "vocoder": LTX2Vocoder(
            in_channels=32,  # channels x mel bins of the audio
            hidden_channels=32,
            resnet_kernel_sizes=[3],
            resnet_dilations=[[1]],
        ),
        **_tiny_models(),
    }


def _tiny_models() -> dict[str, Any]:
    from diffusers import (
        AutoencoderKLLTX2Audio,
        AutoencoderKLLTX2Video,
        LTX2VideoTransformer3DModel,
    )

    return {
        "vae": AutoencoderKLLTX2Video(
            latent_channels=8,
            block_out_channels=(8, 16, 32, 64),
            decoder_block_out_channels=(8, 16, 32),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1),
            decoder_spatial_padding_mode="zeros",  # reflecting needs more than one latent
            spatial_compression_ratio=32,
            temporal_compression_ratio=8,
        ),
        "audio_vae": AutoencoderKLLTX2Audio(
            base_channels=8, num_res_blocks=1, latent_channels=2, mel_bins=16
        ),
        "transformer": LTX2VideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            audio_in_channels=8,
            audio_out_channels=8,
            audio_num_attention_heads=2,
            audio_attention_head_dim=4,
            audio_cross_attention_dim=8,
            num_layers=1,
            caption_channels=16,
        ),
    }


FAMILY = Family(
    pipelines=(_TEXT, _IMAGE, _CONDITION),
    variant=read_variant,
    tiny={"ltx2": tiny_ltx2},
    components=("transformer", "vae", "audio_vae", "connectors", "text_encoder", "vocoder"),
)
