"""Options that all families have, what a video costs on disk, which inputs go with which mode."""

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, JsonValue

from media_agent.errors import InvalidRequestError
from media_agent.storage.work_folder import count_thinned
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent_magi.generating.family import Family

Fit = Literal["crop", "pad"]
LONGEST_CONTEXT = 4  # chunks that a continuation can look back at


class EngineOptions(BaseModel):
    """The options of a request, as `common_options` declares them; a family may add to them."""

    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    image_fit: Fit = "crop"
    context_frames: int | None = None
    strength: float = 0.6
    keep_states: int = 8
    states_budget: float = 2.0
    state_every: int = 1

    def choices(self) -> dict[str, JsonValue]:
        """Return what a video depends on and its family alone knows."""
        return {}


def common_options(
    *, steps: tuple[int, ...], usual_steps: int, guidance: str, shape: str, state: str, chunk: int
) -> tuple[OptionSpec, ...]:
    """Declare the options of `EngineOptions`.

    Args:
        steps: Numbers of denoising steps to choose from.
        usual_steps: The one that is taken unless the request says otherwise.
        guidance: Which guidance is used if none is given, in words.
        shape: What images and videos of another shape become, in words.
        state: What a state takes on disk, in words.
        chunk: Frames of a chunk.
    """
    usual = EngineOptions()
    return (
        OptionSpec(
            name="num_inference_steps",
            type="integer",
            default=usual_steps,
            choices=steps,
            description="Denoising steps of a chunk; fewer is faster and worse.",
        ),
        OptionSpec(
            name="guidance_scale",
            type="number",
            minimum=0.0,
            maximum=20.0,
            description=f"Pull of the text, the same for all chunks; absent: {guidance}.",
        ),
        OptionSpec(
            name="image_fit",
            type="string",
            default=usual.image_fit,
            choices=("crop", "pad"),
            description=f"How an image or video of another shape becomes {shape}.",
        ),
        OptionSpec(
            name="context_frames",
            type="integer",
            default=chunk,
            choices=tuple(chunk * chunks for chunks in range(1, LONGEST_CONTEXT + 1)),
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
            f"{state}",
        ),
        OptionSpec(
            name="states_budget",
            type="number",
            default=usual.states_budget,
            minimum=0.0,
            description="Gigabytes that all states of a video may take; the newest is always kept.",
        ),
    )


def kept_bytes(
    family: "Family", request: VideoRequest, size: Size, options: EngineOptions
) -> int | None:
    """Return what chunks and states take, None for a video without an end."""
    if request.num_frames is None:
        return None
    chunks, state = family.geometry.chunks(request.num_frames), family.state_bytes(size)
    states = request.n * state * count_thinned(chunks, options.keep_states)
    budget = max(request.n * state, round(options.states_budget * 10**9))
    return request.n * chunks * family.chunk_bytes(size) + min(states, budget)


def check_inputs(label: str, request: VideoRequest) -> None:
    """Refuse a request whose inputs do not fit its mode.

    Raises:
        InvalidRequestError: the input that the mode needs is missing or there twice.
    """
    if not request.storyboard():
        raise InvalidRequestError(f"{label} needs a prompt", hint="say what the video shows")
    mode = request.infer_mode()
    role = {
        VideoMode.IMAGE_TO_VIDEO: InputRole.FIRST_FRAME,
        VideoMode.VIDEO_EXTEND: InputRole.SOURCE_VIDEO,
        VideoMode.VIDEO_EDIT: InputRole.SOURCE_VIDEO,
    }.get(mode)
    found = [medium.role.value for medium in request.inputs]
    if found != ([] if role is None else [role.value]):
        raise InvalidRequestError(
            f"{label} does {mode} from {role or 'no input'}, "
            f"not from {' and '.join(found) or 'nothing'}",
            hint="give exactly one, or another mode",
        )
