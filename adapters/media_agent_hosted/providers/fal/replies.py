"""What an answer of fal's queue means; pure, nothing is sent from here."""

import datetime
from collections.abc import Mapping

from pydantic import BaseModel, JsonValue

from media_agent.backend.polled import QUEUED
from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    to_info,
)
from media_agent_hosted.base.refusals import end_of, is_fine, refusal_in
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import (
    Text,
    Whole,
    Word,
    merged,
    number,
    text,
    trimmed,
    whole,
)
from media_agent_hosted.parsing.states import State, state_of, state_said, unknown_word
from media_agent_hosted.parsing.videos import sole_video_in, videos_in
from media_agent_hosted.providers.fal.facts import NAME
from media_agent_schemas.events import (
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    Timing,
)
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact

KEPT = datetime.timedelta(days=7)
"""How long fal keeps a film at least, unless told otherwise."""


class Submitted(BaseModel):
    """The answer to a submission."""

    request_id: Word = ""
    status_url: Text = None
    response_url: Text = None
    cancel_url: Text = None


class Status(BaseModel):
    """The answer to a poll; only its first field is needed."""

    status: Word = ""
    request_id: Text = None
    queue_position: Whole = None
    logs: JsonValue = None
    metrics: JsonValue = None
    error: JsonValue = None
    error_type: Text = None
    reason: str = ""
    """What else it says of a failure; its state, if nothing."""

    @property
    def inference_seconds(self) -> float | None:
        """How long the model worked, if fal says so."""
        said = self.metrics.get("inference_time") if isinstance(self.metrics, dict) else None
        taken = number(said)
        return None if taken is None or taken < 0 else taken

    @property
    def last_line(self) -> str | None:
        """What the model wrote last."""
        lines = self.logs if isinstance(self.logs, list) else [self.logs]
        last = lines[-1] if lines else None
        return trimmed(text(last.get("message") if isinstance(last, dict) else last) or "") or None


def read_status(body: JsonValue) -> Status:
    """Read the answer to a poll, as far as it can be read."""
    said = merged(body)
    word = state_said(said)
    return Status.model_validate({**said, "status": word, "reason": words_in(said) or word})


def parse_status(status: Status) -> JobProgressed | JobFailed | None:
    """Return what a poll means; None: it is over, and the result has to be asked for.

    A word that is not known here is progress: fal may add words.
    """
    match state_of(status.status):
        case State.QUEUED:
            before = status.queue_position
            return JobProgressed(
                phase=QUEUED, message=None if before is None else f"{before} before it"
            )
        case State.RUNNING:
            return JobProgressed(phase="generate", message=status.last_line)
        case State.DONE if is_fine(status.error_type) and not _says_why(status.error):
            return None
        case State.DONE | State.FAILED | State.CANCELLED:
            words = words_in(status.error) or (None if status.error_type else status.reason)
            return JobFailed(error=to_info(_failure(status.error_type, words)))
    return unknown_word("fal", status.status)


def parse_result(
    reply: Reply, ref: OperationRef, status: Status, now: datetime.datetime
) -> JobCompleted | JobFailed | JobOutcomeUnknown:
    """Return the end of work that fal calls completed; no film is no success, and no failure."""
    body = reply.json()
    marks = ref.data.get("sent")
    known = [str(mark) for mark in marks] if isinstance(marks, list) else []
    films = list(videos_in(body, sent=known)) or list(sole_video_in(body, known))
    if not films:
        return _without_film(reply, ref)
    seed = whole(merged(body).get("seed"))
    sent = ref.data.get("seed")
    taken = status.inference_seconds
    return JobCompleted(
        artifacts=tuple(_artifact(address, facts, now) for address, facts in films),
        model=ref.model,
        seed=seed if seed is not None else sent if isinstance(sent, int) else None,
        timing=Timing(phases={} if taken is None else {"inference": taken}),
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
    types = [str(fault.get("type")) for fault in faults]
    refused = [each for each in types if cause_of([each], "") is Cause.CONTENT]
    if refused:
        return ContentRejectedError(
            f"fal refuses the content of the request ({trimmed(refused[0])})",
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


def _says_why(error: JsonValue) -> bool:
    return words_in(error) != "" and not is_fine(error)


def _failure(kind: str | None, words: str | None) -> MediaAgentError:
    if kind is not None and cause_of([kind], "") is Cause.CONTENT:
        return ContentRejectedError("fal refuses the content of the request")
    said = trimmed(words or kind or "it does not say why")
    named = f" ({trimmed(kind)})" if kind else ""
    return GenerationFailedError(
        f"fal failed: {said}{named}", hint="make it again; fal does not charge for its own failures"
    )


def _without_film(reply: Reply, ref: OperationRef) -> JobFailed | JobOutcomeUnknown:
    """Return what completed work without a film is: a failure only where its result says so."""
    body = reply.json()
    refusal = refusal_in(body)
    if refusal is not None and refusal.is_plain:
        return end_of(refusal, NAME, ref.model)
    names_files = "https://" in str(body)
    said = "fal completed without a film" + (" that could be read" if names_files else "")
    unread = BackendResponseError(
        said if refusal is None else f"{said}; it says: {refusal.words}",
        hint=f"look at fal for {ref.operation_id}: its result names files"
        if names_files
        else "is it a video model? else media-agent jobs resume looks again",
    )
    return JobOutcomeUnknown(error=to_info(unread), model=ref.model)


def _artifact(address: str, facts: Mapping[str, JsonValue], now: datetime.datetime) -> Artifact:
    kind = (text(facts.get("content_type")) or "").partition(";")[0].strip()
    size = whole(facts.get("file_size"))
    return Artifact(
        uri=address,
        mime_type=kind if kind.startswith("video/") else "video/mp4",
        size_bytes=size if size is not None and size >= 0 else None,
        expires_at=now + KEPT,
    )
