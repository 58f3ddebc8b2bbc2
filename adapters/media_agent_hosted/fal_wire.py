"""fal's queue protocol: what is sent, and what an answer means; pure, nothing is sent from here."""

import datetime
import json

from pydantic import BaseModel, JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.polled import QUEUED
from media_agent_hosted.fal_facts import NAME, ratio_of, tier_of
from media_agent_hosted.fal_models import FalModel, Fixed, Frames, Seconds
from media_agent_hosted.replies import Reply, trimmed
from media_agent_schemas.events import JobCompleted, JobFailed, JobProgressed, Timing
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

KEPT = datetime.timedelta(days=7)
"""How long fal keeps a film at least, unless told otherwise."""

_REFUSED = "content_policy_violation"


class Submitted(BaseModel):
    """The answer to a submission."""

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str


class Log(BaseModel):
    """One line that the model wrote."""

    message: str = ""


class Metrics(BaseModel):
    """What fal measured."""

    inference_time: float | None = None


class Status(BaseModel):
    """The answer to a poll."""

    status: str
    request_id: str | None = None
    queue_position: int | None = None
    logs: list[Log] | None = None
    metrics: Metrics | None = None
    error: str | None = None
    error_type: str | None = None


class File(BaseModel):
    """A file that a model made."""

    url: str
    content_type: str | None = None
    file_size: int | None = None


class Result(BaseModel):
    """What a video model answers at the end; most say `video`, some `videos`."""

    video: File | None = None
    videos: list[File] = []
    seed: int | None = None


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


def parse_status(status: Status) -> JobProgressed | JobFailed | None:
    """Return what a poll means; None: it is over, and the result has to be asked for.

    Raises:
        BackendResponseError: fal says a word that is not documented.
    """
    match status.status:
        case "IN_QUEUE":
            before = status.queue_position
            return JobProgressed(
                phase=QUEUED, message=None if before is None else f"{before} before it"
            )
        case "IN_PROGRESS":
            said = trimmed(status.logs[-1].message) if status.logs else ""
            return JobProgressed(phase="generate", message=said or None)
        case "COMPLETED" if status.error is not None or status.error_type is not None:
            return JobFailed(error=to_info(_failure(status.error_type, status.error)))
        case "COMPLETED":
            return None
        case word:
            raise BackendResponseError(f"fal answered an unknown state {trimmed(word)!r}")


def parse_result(
    reply: Reply, ref: OperationRef, status: Status, now: datetime.datetime
) -> JobCompleted | JobFailed:
    """Return the end of work that fal calls completed; no film is no success."""
    result = reply.read(Result)
    films = [*([result.video] if result.video is not None else []), *result.videos]
    if not films:
        failed = GenerationFailedError(
            "fal completed without a film", hint="is it a video model? try another one"
        )
        return JobFailed(error=to_info(failed), model=ref.model)
    taken = status.metrics.inference_time if status.metrics is not None else None
    sent = ref.data.get("seed")
    return JobCompleted(
        artifacts=tuple(_artifact(film, now) for film in films),
        model=ref.model,
        seed=result.seed if result.seed is not None else sent if isinstance(sent, int) else None,
        timing=Timing(phases={} if taken is None or taken < 0 else {"inference": taken}),
    )


def refusal_of(reply: Reply, model_id: str) -> MediaAgentError | None:
    """Return what the refusal of a submission means; None: as with any provider."""
    if reply.is_html:
        return None
    match reply.status:
        case 403:
            return BackendAuthenticationError(
                f"fal refuses this account: {reply.words() or 'its balance may be used up'}",
                hint="look at its balance and whether it is locked, on fal.ai/dashboard",
            )
        case 404:
            return InvalidRequestError(
                f"fal has no model {model_id!r}: {reply.words() or 'not found'}",
                hint="it may be misspelt or retired; fal.ai/models lists them",
            )
        case 422:
            return unprocessable(reply)
    return None


def verdict_of(reply: Reply) -> MediaAgentError | None:
    """Return fal's own word that the work failed, in answer to asking for its result.

    None: it is no word about the work, but trouble on the way.
    """
    if reply.status == 422:
        return unprocessable(reply)
    kind = reply.object().get("error_type") or reply.headers.get("x-fal-error-type")
    kinds = [kind, *(fault.get("type") for fault in _faults(reply))]
    named = next((each for each in kinds if isinstance(each, str)), None)
    if reply.status >= 500 and named is not None:
        return _failure(named, reply.words())
    return None


def unprocessable(reply: Reply) -> MediaAgentError:
    """Return the error for status 422: the content, or a field."""
    faults = _faults(reply)
    if any(fault.get("type") == _REFUSED for fault in faults):
        return ContentRejectedError(
            "fal refuses the content of the request (content_policy_violation)",
            hint="change the prompt or the pictures; fal may charge for refused requests",
        )
    said = "; ".join(f"{_place(fault)}: {trimmed(str(fault.get('msg', '')))}" for fault in faults)
    return InvalidRequestError(
        f"fal cannot use the request: {trimmed(said) or reply.words() or 'it does not say why'}",
        hint="change what it names; fal may charge for refused requests",
    )


def _faults(reply: Reply) -> list[dict[str, JsonValue]]:
    detail = reply.object().get("detail")
    return (
        [fault for fault in detail if isinstance(fault, dict)] if isinstance(detail, list) else []
    )


def _place(fault: dict[str, JsonValue]) -> str:
    place = fault.get("loc")
    parts = [str(part) for part in place if part != "body"] if isinstance(place, list) else []
    return trimmed(".".join(parts)) or "the request"


def _failure(kind: str | None, words: str | None) -> MediaAgentError:
    if kind == _REFUSED:
        return ContentRejectedError("fal refuses the content of the request")
    said = trimmed(words or kind or "it does not say why")
    return GenerationFailedError(f"fal failed: {said}" + (f" ({trimmed(kind)})" if kind else ""))


def _artifact(film: File, now: datetime.datetime) -> Artifact:
    kind = (film.content_type or "").partition(";")[0].strip()
    return Artifact(
        uri=film.url,
        mime_type=kind if kind.startswith("video/") else "video/mp4",
        size_bytes=film.file_size if film.file_size is not None and film.file_size >= 0 else None,
        expires_at=now + KEPT,
    )


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
        rate = round(request.fps)
        body[model.rates.field] = str(rate) if model.rates.as_text else rate
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
    missing = [role for role in model.needs if model.inputs[role] not in fields]
    if missing:
        raise InvalidRequestError(
            f"{model.id} needs a {missing[0]}", hint="add it to the inputs of the request"
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
