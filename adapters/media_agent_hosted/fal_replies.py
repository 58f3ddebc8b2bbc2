"""What an answer of fal's queue means; pure, nothing is sent from here."""

import datetime

from pydantic import BaseModel, Field, JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    to_info,
)
from media_agent.polled import QUEUED
from media_agent_hosted.replies import Reply, trimmed
from media_agent_schemas.events import JobCompleted, JobFailed, JobProgressed, Timing
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact

KEPT = datetime.timedelta(days=7)
"""How long fal keeps a film at least, unless told otherwise."""

_REFUSED = "content_policy_violation"


class Submitted(BaseModel):
    """The answer to a submission."""

    request_id: str = Field(min_length=1)
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
    return InvalidRequestError(
        f"fal cannot use the request: {reply.words() or 'it does not say why'}",
        hint="change what it names; fal may charge for refused requests",
    )


def _faults(reply: Reply) -> list[dict[str, JsonValue]]:
    detail = reply.object().get("detail")
    return (
        [fault for fault in detail if isinstance(fault, dict)] if isinstance(detail, list) else []
    )


def _failure(kind: str | None, words: str | None) -> MediaAgentError:
    if kind == _REFUSED:
        return ContentRejectedError("fal refuses the content of the request")
    said = trimmed(words or kind or "it does not say why")
    named = f" ({trimmed(kind)})" if kind else ""
    return GenerationFailedError(
        f"fal failed: {said}{named}", hint="make it again; fal does not charge for its own failures"
    )


def _artifact(film: File, now: datetime.datetime) -> Artifact:
    kind = (film.content_type or "").partition(";")[0].strip()
    return Artifact(
        uri=film.url,
        mime_type=kind if kind.startswith("video/") else "video/mp4",
        size_bytes=film.file_size if film.file_size is not None and film.file_size >= 0 else None,
        expires_at=now + KEPT,
    )
