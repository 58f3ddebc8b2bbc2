"""From a negotiated request to the fields that a hosted model takes; pure, nothing is sent."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.models.facts import Fixed, Follows, Frames, HostedModel, Input, Seconds
from media_agent_hosted.models.sizes import ratio_of, tier_of
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest

Fields = dict[str, JsonValue]


def build_fields(
    request: VideoRequest,
    model: HostedModel | None,
    inputs: tuple[JsonValue, ...] = (),
    options: Mapping[str, JsonValue] | None = None,
) -> Fields:
    """Return the fields for a negotiated request; None: a model that is not mapped.

    `model` says what holds in the mode of the request. `inputs` are its inputs in the form that the
    provider takes, in order; `options` are those for this backend.

    Raises:
        InvalidRequestError: something is missing, twice, or not JSON.
        UnsupportedRequestError: it says what this model has no field for.
    """
    given = {name: each for name, each in (options or {}).items() if name != "deadline_seconds"}
    more = _raw_fields(given.pop("input", None))
    fields: Fields = {}
    shots = request.storyboard()
    if shots:
        fields["prompt" if model is None else model.named("prompt")] = shots[0].prompt
    fields |= _unmapped(request) if model is None else _mapped(request, model, inputs, more)
    return _nest(fields) | given | more


def warnings_about(request: VideoRequest, model: HostedModel | None) -> tuple[str, ...]:
    """Return what the caller should know about what was sent."""
    if model is None:
        return (
            f"the fields of {request.model} are not known here: length, size and frame rate were "
            "left to it unless option input said them",
        )
    warnings = []
    if request.audio is False and model.audio_field is None:
        warnings.append(f"{model.id} has no field for audio: it is assumed to generate none")
    return tuple(warnings)


def check_longest(model: HostedModel | None, name: str, seconds: JsonValue, option: str) -> None:
    """Refuse to leave the length to a model, unless its longest was asked for, and priced.

    Raises:
        UnsupportedRequestError: a shorter one was, or the length cannot be chosen.
    """
    length = None if model is None else model.length
    longest = max(length.seconds) if isinstance(length, Seconds) else None
    if longest is None or seconds != longest:
        asked = "the longest length" if longest is None else f"{longest} s, the longest length"
        raise UnsupportedRequestError(
            f"with {option} {name} chooses the length itself",
            hint=f"ask for {asked}, which is what a budget counts; or leave the option out",
        )


def _unmapped(request: VideoRequest) -> Fields:
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
    request: VideoRequest, model: HostedModel, inputs: tuple[JsonValue, ...], more: Fields
) -> Fields:
    if model.needs_prompt and not request.storyboard():
        raise InvalidRequestError(f"{model.id} needs a prompt", hint="say what the video shows")
    fields: Fields = {}
    if request.negative_prompt is not None:
        fields[model.named("negative_prompt")] = request.negative_prompt
    fields |= _inputs(request, model, inputs)
    fields |= _length(request, model, more)
    if model.rates.field is not None and request.fps is not None:
        fields[model.rates.field] = round(request.fps)
    fields |= _geometry(request, model)
    if request.seed is not None:
        fields[model.named("seed")] = request.seed
    if request.audio is not None and model.audio_field is not None:
        fields[model.audio_field] = model.audio_values[request.audio]
    if model.max_n > 1:
        fields[model.named("n")] = request.n
    if request.camera is not None and model.camera is not None:
        fields[model.camera.field] = model.camera.moves[request.camera]
    return fields | dict(model.always)


def _geometry(request: VideoRequest, model: HostedModel) -> Fields:
    """Return resolution and aspect ratio, or the size in pixels."""
    if model.sizes is not None:
        size = request.size or model.sizes.values[0]
        return {model.sizes.field: f"{size.width}{model.sizes.between}{size.height}"}
    fields: Fields = {}
    tier = tier_of(request, model)
    if tier.value is not None:
        fields[model.named("resolution")] = tier.value
    ratio = ratio_of(request, model)
    if ratio is not None:
        fields[model.named("aspect_ratio")] = ratio
    return fields


def _inputs(request: VideoRequest, model: HostedModel, inputs: tuple[JsonValue, ...]) -> Fields:
    """Return the inputs, each at the place of its role; those of a list in their order."""
    fields: Fields = {}
    given: dict[InputRole, int] = {}
    for medium, value in zip(request.inputs, inputs, strict=True):
        place = _place_of(medium, model)
        given[medium.role] = given.get(medium.role, 0) + 1
        if given[medium.role] > place.most:
            some = "one" if place.most == 1 else f"at most {place.most}"
            raise InvalidRequestError(
                f"{model.id} takes {some} {medium.role}; there are several", hint=f"give {some}"
            )
        if not place.is_listed:
            fields[place.field] = value
            continue
        listed = fields.setdefault(place.field, [])
        assert isinstance(listed, list), f"{place.field} is a list for some inputs only"
        listed.append(_list_item(medium, place, value))
    _check_needed(model, given)
    return fields


def _place_of(medium: MediaInput, model: HostedModel) -> Input:
    place = model.inputs.get(medium.role)
    if place is None:
        taken = ", ".join(model.inputs) or "no inputs"
        raise UnsupportedRequestError(f"{model.id} takes {taken} here, and no {medium.role}")
    return place


def _list_item(medium: MediaInput, place: Input, value: JsonValue) -> JsonValue:
    if place.item is None:
        return value
    time: Fields = {} if place.at is None or medium.at is None else {place.at: medium.at}
    return _nest({place.item: value, **place.also, **time})


def _check_needed(model: HostedModel, given: Mapping[InputRole, int]) -> None:
    missing = next((role for role in model.needed if role not in given), None)
    if missing is None and model.needs_any and not given:
        missing = next(iter(model.inputs))
    if missing is not None:
        raise InvalidRequestError(
            f"{model.id} needs a {missing}", hint="add it to the inputs of the request"
        )


def _length(request: VideoRequest, model: HostedModel, more: Fields) -> Fields:
    if request.num_frames is None or request.fps is None:
        raise InvalidRequestError("the request has no length; a plan sets it")
    match model.length:
        case Seconds(as_text=as_text, unit=unit):
            seconds = round(request.num_frames / request.fps)
            is_text = as_text or unit
            return {model.named("duration"): f"{seconds}{unit}" if is_text else seconds}
        case Frames(least=least, most=most, overlap=overlap):
            frames = request.num_frames
            if "start_frame" not in more:  # which says itself where the source video is cut
                frames += overlap
            if not least <= frames <= most:
                raise UnsupportedRequestError(
                    f"{model.id} makes {least} to {most} frames, not {frames}",
                    hint="ask for another length, or for another frame rate",
                )
            return {model.named("num_frames"): frames}
        case Fixed() | Follows():
            return {}


def _raw_fields(said: JsonValue) -> Fields:
    """Return the fields that are handed on as they are."""
    if said is None:
        return {}
    try:
        fields = json.loads(str(said))
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidRequestError(
            "option input is no JSON object", hint='for example input=\'{"duration": "5"}\''
        )
    return fields


def _nest(fields: Fields) -> Fields:
    """Return fields in which a name with dots became a place in an object."""
    body: Fields = {}
    for name, value in fields.items():
        *outer, last = name.split(".")
        place = body
        for part in outer:
            inner = place.setdefault(part, {})
            assert isinstance(inner, dict), f"{name} lies in a field that is no object"
            place = inner
        place[last] = value
    return body
