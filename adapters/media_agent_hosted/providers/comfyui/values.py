"""What stands in the slots of a workflow for one request; pure."""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError
from media_agent_hosted.providers.comfyui.options import Setup
from media_agent_hosted.providers.comfyui.workflow import Place
from media_agent_schemas.request import VideoRequest


def build_values(
    setup: Setup,
    request: VideoRequest,
    uploads: Mapping[str, str],
    options: Mapping[str, JsonValue],
) -> dict[Place, JsonValue]:
    """Return the value of each place that the request sets; the rest stays as in the workflow.

    `uploads` are the names of its inputs on the server, by their roles.

    Raises:
        InvalidRequestError: the workflow has a whole number where the request says another.
    """
    given = {**dict(_list_fields(request)), **uploads}
    values = {
        place: _as_in_workflow(setup, place, slot, given[slot])
        for slot, places in setup.slots.items()
        if slot in given
        for place in places
    }
    chosen = {
        place: _as_in_workflow(setup, place, name, options[name])
        for name, places in setup.parameters.items()
        if options.get(name) is not None
        for place in places
    }
    return values | chosen


def _list_fields(request: VideoRequest) -> Iterator[tuple[str, JsonValue]]:
    """Yield the fields of the request that it sets, by the names of their slots."""
    fields: dict[str, JsonValue] = {
        "prompt": request.storyboard()[0].prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "width": None if request.size is None else request.size.width,
        "height": None if request.size is None else request.size.height,
        "num_frames": request.num_frames,
        "duration": request.seconds(),
        "fps": request.fps,
    }
    return ((name, value) for name, value in fields.items() if value is not None)


def _as_in_workflow(setup: Setup, place: Place, name: str, value: JsonValue) -> JsonValue:
    """Return a value in the type that the workflow itself has there."""
    own = setup.workflow.value_at(place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(own, str):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(own, float):
        return float(value)
    if isinstance(own, int) and value != int(value):
        raise InvalidRequestError(
            f"{name} is {value:g}, and {setup.workflow.describe(place.node)} takes whole numbers",
            hint="ask for a whole number",
        )
    return int(value) if value == int(value) else value
