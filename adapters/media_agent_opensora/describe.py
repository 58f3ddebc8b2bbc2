"""What a model of Open-Sora can do."""

from collections.abc import Iterator

from media_agent_opensora.checkout import UNSUPPORTED
from media_agent_opensora.models import FPS, STEPS, Model
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.facts import ModeFacts, OptionSpec, Verification, VerificationLevel
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

NAME = "opensora"

_NEEDS = {
    VideoMode.IMAGE_TO_VIDEO: InputRole.FIRST_FRAME,
    VideoMode.FIRST_LAST_FRAME: InputRole.LAST_FRAME,
    VideoMode.VIDEO_EXTEND: InputRole.SOURCE_VIDEO,
}


def describe(name: str, model: Model, *, backend: str, missing: str | None) -> Capabilities:
    """Return the capabilities of a model."""
    extends = VideoMode.VIDEO_EXTEND in model.modes
    sizes = tuple(model.resolution.sizes.values())
    return Capabilities(
        backend=backend,
        model=name,
        models=(name,),
        description=f"Open-Sora 2.0 (11B), {_describe_way(model)}, {model.resolution.name}",
        modes=model.modes,
        input_roles=model.roles,
        by_mode={mode: ModeFacts(needs=(_NEEDS[mode],)) for mode in model.modes if mode in _NEEDS},
        reads_urls=False,
        sizes=sizes,
        default_size=sizes[0],
        fps_values=(FPS,),
        default_fps=FPS,
        min_frames=model.fewest,
        max_frames=model.longest,
        default_duration=model.longest / FPS,
        frame_multiple=4,
        frame_offset=0 if extends else 1,
        negative_prompt=True,
        seed=True,
        cancel_rule=CancelRule.STOPS,
        extends=extends and model.place == "head",
        resubmits=True,
        options=tuple(_list_options(model)),
        verification=Verification(
            level=VerificationLevel.SIMULATOR,
            note="run against a stand-in for its checkout; Open-Sora itself was not tried. "
            f"{UNSUPPORTED}",
        ),
        licence=model.licence,
        local=True,
        missing=missing,
    )


def _describe_way(model: Model) -> str:
    if model.makes_image:
        return "from a first image that FLUX.1-dev makes"
    if not model.overlap:
        return "from text, a first frame, a last frame, or both"
    where = "continues a video" if model.place == "head" else "makes what comes before a video"
    return f"{where}, of which it takes {model.overlap} frames"


def _list_options(model: Model) -> Iterator[OptionSpec]:
    yield OptionSpec(
        name="num_inference_steps",
        type="integer",
        default=STEPS,
        minimum=1,
        maximum=1000,
        description="Denoising steps.",
    )
    yield OptionSpec(
        name="guidance_scale",
        type="number",
        default=7.5,
        minimum=0,
        description="How closely the prompt is followed.",
    )
    yield OptionSpec(
        name="image_guidance_scale",
        type="number",
        default=3.0,
        minimum=0,
        description="How closely the image or video is followed.",
    )
    yield OptionSpec(
        name="motion_score",
        type="integer",
        default=4,
        minimum=1,
        description="How much moves; it becomes part of the prompt.",
    )
    if model.makes_image:
        yield OptionSpec(
            name="offload",
            type="boolean",
            default=False,
            description="Keep in the GPU's memory only the model that works: slower, smaller.",
        )
