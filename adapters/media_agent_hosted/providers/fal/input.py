"""From a negotiated request to the body that one of fal's models takes; pure, nothing is sent."""

import json

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.providers.fal.facts import NAME, ratio_of, tier_of
from media_agent_hosted.providers.fal.models import FalModel, Fixed, Frames, Seconds
from media_agent_schemas.request import VideoRequest


def build_input(
    request: VideoRequest, model: FalModel | None, addresses: tuple[str, ...] = ()
) -> dict[str, JsonValue]:
    """Return the body for a negotiated request; `addresses` are those of its inputs, in order.

    Raises:
        InvalidRequestError: something is missing, twice, or not JSON.
        UnsupportedRequestError: it says what this model has no field for.
    """
    options = {
        name: value
        for name, value in request.options.get(NAME, {}).items()
        if name not in ("input", "deadline_seconds")
    }
    body: dict[str, JsonValue] = {}
    shots = request.storyboard()
    if shots:
        body["prompt"] = shots[0].prompt
    body |= _unmapped(request) if model is None else _mapped(request, model, addresses)
    return body | options | _more_input(request)


def warnings_about(request: VideoRequest, model: FalModel | None) -> tuple[str, ...]:
    """Return what the caller should know about what was sent."""
    if model is None:
        return (
            f"the fields of {request.model} are not known here: length, size and frame rate were "
            "left to it unless option input said them",
        )
    if request.size is not None and model.needs and not model.ratios:
        return (f"the frames have the shape of the picture; {request.size} chose only how large",)
    return ()


def _unmapped(request: VideoRequest) -> dict[str, JsonValue]:
    """Return the fields that nearly every model has; what only its own page names is refused."""
    said = {
        "size": request.size,
        "resolution": request.resolution,
        "aspect_ratio": request.aspect_ratio,
        "audio": request.audio,
    }
    given = [name for name, value in said.items() if value is not None]
    if given:
        raise UnsupportedRequestError(
            f"the fields of {request.model} are not known here, so {', '.join(given)} cannot be "
            "translated",
            hint='give its own fields instead: --option input=\'{"resolution": "720p"}\'',
        )
    return {} if request.seed is None else {"seed": request.seed}


def _mapped(
    request: VideoRequest, model: FalModel, addresses: tuple[str, ...]
) -> dict[str, JsonValue]:
    if model.needs_prompt and not request.storyboard():
        raise InvalidRequestError(f"{model.id} needs a prompt", hint="say what the video shows")
    body: dict[str, JsonValue] = {}
    if request.negative_prompt is not None:
        body["negative_prompt"] = request.negative_prompt
    body |= _inputs(request, model, addresses)
    body |= _length(request, model)
    if model.rates.field is not None and request.fps is not None:
        body[model.rates.field] = round(request.fps)
    tier = tier_of(request, model) if model.tiers else None
    if tier is not None and tier.value is not None:
        body["resolution"] = tier.value
    ratio = ratio_of(request, model)
    if ratio is not None:
        body["aspect_ratio"] = ratio
    if request.seed is not None:
        body["seed"] = request.seed
    if request.audio is not None and model.audio_field is not None:
        body[model.audio_field] = request.audio
    return body | dict(model.always)


def _inputs(
    request: VideoRequest, model: FalModel, addresses: tuple[str, ...]
) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {}
    for medium, address in zip(request.inputs, addresses, strict=True):
        name = model.inputs[medium.role]
        if name in fields:
            raise InvalidRequestError(
                f"{model.id} takes one {medium.role}; there are several", hint="give one"
            )
        fields[name] = address
    if model.needs is not None and model.inputs[model.needs] not in fields:
        raise InvalidRequestError(
            f"{model.id} needs a {model.needs}", hint="add it to the inputs of the request"
        )
    return fields


def _length(request: VideoRequest, model: FalModel) -> dict[str, JsonValue]:
    if request.num_frames is None or request.fps is None:
        raise InvalidRequestError("the request has no length; a plan sets it")
    match model.length:
        case Seconds(as_text=as_text):
            seconds = round(request.num_frames / request.fps)
            return {"duration": str(seconds) if as_text else seconds}
        case Frames(least=least, most=most, overlap=overlap):
            frames = request.num_frames
            if "start_frame" not in _more_input(request):
                frames += overlap
            if not least <= frames <= most:
                raise UnsupportedRequestError(
                    f"{model.id} makes {least} to {most} frames, not {frames}",
                    hint="ask for another length, or for another frame rate",
                )
            return {"num_frames": frames}
        case Fixed():
            return {}


def _more_input(request: VideoRequest) -> dict[str, JsonValue]:
    text = request.options.get(NAME, {}).get("input")
    if text is None:
        return {}
    try:
        fields = json.loads(str(text))
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidRequestError(
            "option input is no JSON object", hint='for example input=\'{"duration": "5"}\''
        )
    return fields
