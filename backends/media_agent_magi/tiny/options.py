"""The options of magi/tiny, what they cost on disk, and which inputs go with which mode."""

from typing import Literal

from pydantic import BaseModel

from media_agent.errors import InvalidRequestError
from media_agent.storage.work_folder import count_thinned
from media_agent_magi.tiny.description import TinyDescription
from media_agent_magi.world.scene import CHUNK_FRAMES
from media_agent_schemas.capabilities import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode, VideoRequest

Fit = Literal["crop", "pad"]
_STEPS = (8, 16, 32)
_CHUNK_BYTES = 20_000  # of a second of video, as measured
_STATE_BYTES = 650_000  # of what the next chunk is made from; most while the window grows


class TinyOptions(BaseModel):
    """The options of magi/tiny, as `options` declares them."""

    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    image_fit: Fit = "crop"
    context_frames: int = CHUNK_FRAMES
    strength: float = 0.6
    keep_states: int = 8
    states_budget: float = 2.0


def options(description: TinyDescription) -> tuple[OptionSpec, ...]:
    """Declare the options of magi/tiny."""
    used, usual = description.guidance, TinyOptions()
    return (
        OptionSpec(
            name="num_inference_steps",
            type="integer",
            default=description.sampler.num_steps,
            choices=_STEPS,
            description="Denoising steps of a chunk; fewer is faster and worse.",
        ),
        OptionSpec(
            name="guidance_scale",
            type="number",
            minimum=0.0,
            maximum=20.0,
            description="Pull of the text, the same for all chunks; absent: "
            f"{used.first:g} first, {used.switch:g} after a change, {used.steady:g} otherwise.",
        ),
        OptionSpec(
            name="image_fit",
            type="string",
            default=usual.image_fit,
            choices=("crop", "pad"),
            description="How an image or video of another shape becomes square.",
        ),
        OptionSpec(
            name="context_frames",
            type="integer",
            default=usual.context_frames,
            choices=tuple(CHUNK_FRAMES * chunks for chunks in range(1, 5)),
            description="Frames of the end of a video that its continuation starts from.",
        ),
        OptionSpec(
            name="strength",
            type="number",
            default=usual.strength,
            minimum=0.05,
            maximum=1.0,
            description="How much of a video is changed, with mode video_edit; 1 is all of it.",
        ),
        OptionSpec(
            name="keep_states",
            type="integer",
            default=usual.keep_states,
            minimum=1,
            description="How many of the newest states are all kept; older ones are thinned out. "
            "Each takes 0.5 MB, near the start of a video up to 0.8 MB.",
        ),
        OptionSpec(
            name="states_budget",
            type="number",
            default=usual.states_budget,
            minimum=0.0,
            description="Gigabytes that all states of a video may take; the newest is always kept.",
        ),
    )


def kept_bytes(request: VideoRequest, options: TinyOptions) -> int | None:
    """Return what chunks and states take, None for a video without an end."""
    if request.num_frames is None:
        return None
    chunks = -(-request.num_frames // CHUNK_FRAMES)
    states = request.n * _STATE_BYTES * count_thinned(chunks, options.keep_states)
    budget = max(request.n * _STATE_BYTES, round(options.states_budget * 10**9))
    return request.n * chunks * _CHUNK_BYTES + min(states, budget)


def check_inputs(request: VideoRequest) -> None:
    """Refuse a request whose inputs do not fit its mode.

    Raises:
        InvalidRequestError: the input that the mode needs is missing or there twice.
    """
    if not request.storyboard():
        raise InvalidRequestError("magi/tiny needs a prompt", hint="say what the video shows")
    mode = request.infer_mode()
    role = {
        VideoMode.IMAGE_TO_VIDEO: InputRole.FIRST_FRAME,
        VideoMode.VIDEO_EXTEND: InputRole.SOURCE_VIDEO,
        VideoMode.VIDEO_EDIT: InputRole.SOURCE_VIDEO,
    }.get(mode)
    found = [medium.role.value for medium in request.inputs]
    if found != ([] if role is None else [role.value]):
        raise InvalidRequestError(
            f"magi/tiny does {mode} from {role or 'no input'}, "
            f"not from {' and '.join(found) or 'nothing'}",
            hint="give exactly one, or another mode",
        )
