"""A video made anew: noise is added to a given one, and taken away again as the prompt says."""

import math

from media_agent.errors import InvalidRequestError
from media_agent_diffusers.families.family import Call, Options, Task, common_arguments
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_STRENGTH = OptionSpec(
    name="strength",
    type="number",
    default=0.8,
    minimum=0.0,
    maximum=1.0,
    description="How much of a source video is changed; that share of the steps is taken.",
)


def restyle_task(pipeline: str) -> Task:
    """Return the task of a pipeline that restyles a source video, and is as long as that."""
    return Task(
        VideoMode.VIDEO_EDIT,
        pipeline,
        inputs=(InputRole.SOURCE_VIDEO,),
        options=(_STRENGTH,),
        arguments=_restyle_arguments,
        check=_check_steps,
    )


def _restyle_arguments(call: Call) -> dict[str, object]:
    """Return the arguments without the number of frames, which is that of the source."""
    arguments = common_arguments(call)
    del arguments["num_frames"]
    return arguments


def _check_steps(options: Options) -> None:
    strength, steps = options["strength"], options["num_inference_steps"]
    if float(str(strength)) * int(str(steps)) >= 1:
        return
    if float(str(strength)) == 0:
        raise InvalidRequestError(
            "strength 0 leaves the source as it is", hint="ask for more than 0"
        )
    enough = math.ceil(1 / float(str(strength)))
    raise InvalidRequestError(
        f"strength {strength} of {steps} steps is less than one step",
        hint=f"ask for a num_inference_steps of at least {enough}, or for more strength",
    )
