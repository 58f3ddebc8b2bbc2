"""Wan 2.1 and 2.2: from text, from a first frame, between two frames, or a video restyled.

`_MODELS` has what the authors publish about each model, with the source; what a pipeline does with
other values was tried with diffusers 0.42.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from media_agent_diffusers.families.family import (
    Family,
    Task,
    Variant,
    denoising_options,
    flow_shift_options,
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.restyle import restyle_task
from media_agent_diffusers.families.tiny_parts import (
    sees_images,
    tiny_vision,
    tiny_wan_components,
    wan_transformer_sizes,
)
from media_agent_diffusers.families.wan.parts import (
    guidance_2_options,
    has_two_transformers,
    licence,
)
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

_TEXT, _IMAGE, _VIDEO = "WanPipeline", "WanImageToVideoPipeline", "WanVideoToVideoPipeline"
_TOKENS = 512
_HEADS_OF_1_3B = 12
_IMAGE_TOKENS = 5  # of the tiny image encoder


@dataclass(frozen=True, slots=True)
class _Model:
    """What the authors publish about one model."""

    title: str
    source: str
    steps: int
    guidance: float
    guidance_2: float | None = None
    """In the last steps, which a second transformer makes; None: there is one transformer."""
    flow_shift: float | None = None
    """None: its repositories differ, and the scheduler in each folder says it."""
    size: tuple[int, int] = (832, 480)
    fps: float = 16.0
    frames: int = 81


_WAN_2_1, _WAN_2_2 = "https://github.com/Wan-Video/Wan2.1", "https://github.com/Wan-Video/Wan2.2"
_MODELS = {
    "2.1-t2v-14b": _Model("Wan 2.1, text or video to video", _WAN_2_1, 50, 5.0, flow_shift=5.0),
    "2.1-t2v-1.3b": _Model(
        "Wan 2.1 1.3B, text or video to video", _WAN_2_1, 50, 6.0, flow_shift=8.0
    ),
    "2.1-i2v": _Model("Wan 2.1, image to video", _WAN_2_1, 40, 5.0),  # shift 3 at 480p, 5 at 720p
    "2.1-flf2v": _Model(
        "Wan 2.1, first and last image to video", _WAN_2_1, 50, 5.0, flow_shift=16.0
    ),
    "2.2-t2v-a14b": _Model("Wan 2.2 A14B, text to video", _WAN_2_2, 40, 4.0, 3.0, flow_shift=12.0),
    "2.2-i2v-a14b": _Model("Wan 2.2 A14B, image to video", _WAN_2_2, 40, 3.5, 3.5, flow_shift=5.0),
    "2.2-ti2v-5b": _Model(
        "Wan 2.2 5B, text or image to video",
        _WAN_2_2,
        steps=50,
        guidance=5.0,
        flow_shift=5.0,
        size=(1280, 704),
        fps=24.0,
        frames=121,
    ),
}


def read_variant(files: ModelFiles) -> Variant:
    """Return what the Wan model of a folder can do.

    Raises:
        StorageError: it works with two transformers, and has one.
    """
    tasks = _read_tasks(files)
    model = _MODELS[_name_model(files, tasks[0])]
    return Variant(
        title=model.title,
        source=model.source,
        tasks=tasks,
        options=(
            *denoising_options(steps=model.steps, guidance=model.guidance),
            *guidance_2_options(files, model.guidance_2),
            *flow_shift_options(files, model.flow_shift),
            token_option(_TOKENS),
        ),
        frame_multiple=_frame_multiple(files),
        size_multiple=size_multiple(files, files.whole_number("vae", "scale_factor_spatial", 8)),
        size=model.size,
        fps=model.fps,
        default_frames=model.frames,
        longest_frames=model.frames,
        max_tokens=_TOKENS,
        in_float32=("vae",),
        licence=licence(files),
    )


def _read_tasks(files: ModelFiles) -> tuple[Task, ...]:
    fewest = _frame_multiple(files) + 1  # one frame is not two, and not more than a given one
    text = Task(VideoMode.TEXT_TO_VIDEO, _TEXT)
    if _does_both(files):
        first = (InputRole.FIRST_FRAME,)
        return text, Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, first, fewest_frames=fewest)
    if files.pipeline != _IMAGE:  # diffusers restyles with one transformer only
        return (text,) if has_two_transformers(files) else (text, restyle_task(_VIDEO))
    if files.configs["transformer"].get("pos_embed_seq_len") is None:
        return (Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, (InputRole.FIRST_FRAME,)),)
    both = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME)
    return (Task(VideoMode.FIRST_LAST_FRAME, _IMAGE, both, fewest_frames=fewest),)


def _name_model(files: ModelFiles, task: Task) -> str:
    """Return which of the published models it is, or the nearest to it."""
    begins = "t2v" if task.mode is VideoMode.TEXT_TO_VIDEO else "i2v"
    if has_two_transformers(files):
        return f"2.2-{begins}-a14b"
    if _does_both(files):
        return "2.2-ti2v-5b"
    if task.mode is VideoMode.FIRST_LAST_FRAME:
        return "2.1-flf2v"
    if begins == "i2v":
        return "2.1-i2v"
    is_small = files.configs["transformer"].get("num_attention_heads") == _HEADS_OF_1_3B
    return "2.1-t2v-1.3b" if is_small else "2.1-t2v-14b"


def _does_both(files: ModelFiles) -> bool:
    """Return whether the same weights begin from text and from an image."""
    return files.index.get("expand_timesteps") is True


def _frame_multiple(files: ModelFiles) -> int:
    return files.whole_number("vae", "scale_factor_temporal", 4)


def tiny_wan() -> Any:
    """Build a pipeline that makes videos from text."""
    from diffusers import WanPipeline

    return WanPipeline(**_tiny_components(in_channels=16))


def tiny_wan_2_2() -> Any:
    """Build a pipeline of two transformers that makes videos from text."""
    from diffusers import WanPipeline

    return WanPipeline(**_tiny_components(in_channels=16, transformers=2), boundary_ratio=0.875)


def tiny_wan_2_2_i2v() -> Any:
    """Build a pipeline of two transformers that makes videos from a first frame."""
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        **_tiny_components(in_channels=36, transformers=2),
        image_encoder=None,
        image_processor=None,
        boundary_ratio=0.9,
    )


def tiny_wan_i2v(image_tokens: int | None = None) -> Any:
    """Build a pipeline that makes videos from a first frame."""
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor, CLIPVisionModel

    return WanImageToVideoPipeline(
        **_tiny_components(in_channels=36, image_tokens=image_tokens, sees=True),
        image_encoder=CLIPVisionModel(tiny_vision()).eval(),
        image_processor=CLIPImageProcessor(size=32, crop_size=32),
    )


def tiny_wan_flf2v() -> Any:
    """Build a pipeline that makes videos between two frames."""
    return tiny_wan_i2v(image_tokens=2 * _IMAGE_TOKENS)


def tiny_wan_ti2v() -> Any:
    """Build a pipeline that makes videos from text and from a first frame."""
    from diffusers import WanPipeline

    decoder = {
        "decoder_base_dim": 3,
        "is_residual": True,
        "in_channels": 12,  # patches of 2x2 pixels
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
    }
    return WanPipeline(**_tiny_components(in_channels=16, decoder=decoder), expand_timesteps=True)


def _tiny_components(
    *,
    in_channels: int,
    image_tokens: int | None = None,
    sees: bool = False,
    transformers: int = 1,
    decoder: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    from diffusers import FlowMatchEulerDiscreteScheduler

    extra = sees_images(image_tokens) if sees else {}
    return {
        **tiny_wan_components(**(decoder or {})),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
        "transformer": _tiny_transformer(in_channels, extra),
        "transformer_2": None if transformers == 1 else _tiny_transformer(in_channels, {}),
    }


def _tiny_transformer(in_channels: int, extra: dict[str, Any]) -> "WanTransformer3DModel":
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(**wan_transformer_sizes(in_channels), **extra)


FAMILY = Family(
    pipelines=(_TEXT, _IMAGE, _VIDEO),
    variant=read_variant,
    tiny={
        "wan": tiny_wan,
        "wan-i2v": tiny_wan_i2v,
        "wan-flf2v": tiny_wan_flf2v,
        "wan-2.2": tiny_wan_2_2,
        "wan-2.2-i2v": tiny_wan_2_2_i2v,
        "wan-2.2-ti2v": tiny_wan_ti2v,
    },
)
