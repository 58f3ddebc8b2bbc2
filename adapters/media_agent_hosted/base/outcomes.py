"""What the answers of a provider mean for work that it accepted; pure, nothing is sent."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue

from media_agent.backend.polled import QUEUED
from media_agent.errors import (
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    MediaAgentError,
    to_info,
)
from media_agent.ingest.inline import is_inline
from media_agent.storage.addresses import resolved
from media_agent_hosted.base.calls import Answer, End, Status
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.causes import Cause
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import (
    WRAPPERS,
    is_at_end,
    share,
    text,
    trim,
    unwrap,
    whole,
)
from media_agent_hosted.parsing.refusals import Refusal, provider_code_in, refusal_in
from media_agent_hosted.parsing.states import State, state_beside, state_said, unknown_word
from media_agent_hosted.parsing.videos import sole_video_in, videos_in
from media_agent_schemas.events import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    Timing,
)
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact


class LateVideoError(BackendResponseError):
    """A video that is called done is not there, or not yet."""


def read_status(body: JsonValue) -> Status:
    """Read how far work is, where answers usually say it; a provider adds what else it says."""
    said = unwrap(body)
    word, refusal = state_said(said), refusal_in(body)
    state = state_beside(word, has_error=refusal is not None and refusal.is_plain)
    progress = said.get("progress")
    return Status(word, state, fraction=share(progress), may_be_over=is_at_end(progress))


def event_of(
    status: Status, body: JsonValue, who: str, model: str | None
) -> JobProgressed | JobFailed | JobCancelled | None:
    """Return what a poll means; None: it is done, and its video can be looked for.

    A word that is not known here is progress: providers add words.
    """
    match status.state:
        case State.DONE:
            return None
        case State.QUEUED:
            return JobProgressed(phase=QUEUED, fraction=status.fraction, message=status.message)
        case State.RUNNING:
            phase = status.phase or trim(status.word) or "working"
            return JobProgressed(phase=phase, fraction=status.fraction, message=status.message)
        case State.CANCELLED:
            return JobCancelled(model=status.model or model, cost=status.cost)
        case State.FAILED:
            failed = _failed(status, body, who, status.model or model)
            return failed.model_copy(update={"cost": status.cost})
    if not status.word and status.message is not None:
        phase = status.phase or "unknown"
        return JobProgressed(phase=phase, fraction=status.fraction, message=status.message)
    return unknown_word(who, status.word, status.fraction)


def end_of_done(
    answer: Answer,
    ref: OperationRef,
    *,
    expires_at: datetime | None,
    results: JsonValue = None,
) -> End:
    """Return the end of work that is called done, by the answer that tells its videos.

    They are looked for in the `results` first, which are a part of the answer.
    No video is no success; it is a failure only where the answer says so.
    """
    body, sent = answer.body, marks_of(ref)
    inside = [body.get(name) for name in WRAPPERS] if isinstance(body, dict) else []
    found = (list(videos_in(each, sent=sent)) for each in (results, body, unwrap(body), *inside))
    videos = next(filter(None, found), None) or list(sole_video_in(body, sent))
    if not videos:
        return _without_video(body, ref)
    artifacts = tuple(
        _artifact(_whole_address(address, answer.reply.url), facts, expires_at)
        for address, facts in videos
    )
    return completed(artifacts, body, ref, answer.status)


def completed(
    artifacts: tuple[Artifact, ...], body: JsonValue, ref: OperationRef, status: Status
) -> JobCompleted:
    """Return the end of work whose videos are known, with all else that the reply says of it."""
    own, asked = whole(unwrap(body).get("seed")), ref.data.get("seed")
    phases = {} if status.seconds is None else {"inference": status.seconds}
    return JobCompleted(
        artifacts=artifacts,
        model=ref.model,
        seed=own if own is not None else asked if isinstance(asked, int) else None,
        timing=Timing(phases=phases),
        cost=status.cost,
    )


def end_of(refusal: Refusal, host: str, model: str | None) -> JobFailed:
    """Return the end of work of which its service says no, and which it called over."""
    said = f"{host} says: {refusal.words}"
    error: MediaAgentError = GenerationFailedError(said)
    if refusal.cause is Cause.CONTENT:
        error = ContentRejectedError(said, hint="change the prompt or the images")
    return JobFailed(error=to_info(error.with_provider_code(refusal.code)), model=model)


def marks_of(ref: OperationRef) -> list[str]:
    """Return the marks of the addresses that were sent, which are no videos of the work."""
    marks = ref.data.get("sent")
    return [str(mark) for mark in marks] if isinstance(marks, list) else []


def late_video(reply: Reply) -> MediaAgentError | None:
    """Return what it means that a video which is called done is not there; None: it is refused."""
    if reply.status not in (404, 409, 425):
        return None
    return LateVideoError(
        f"{reply.host} calls the work done and answers {reply.status} where its video should be",
        hint="media-agent jobs resume fetches it, once it is there",
    )


def _failed(status: Status, body: JsonValue, who: str, model: str | None) -> JobFailed:
    if status.error is not None:
        error = status.error.with_provider_code(provider_code_in(body))
        return JobFailed(error=to_info(error), model=model)
    refusal = refusal_in(body)
    if refusal is not None and words_in(unwrap(body)):
        return end_of(refusal, who, model)
    unsaid = GenerationFailedError(f"{who} says {trim(status.word)}, and not why")
    return JobFailed(error=to_info(unsaid), model=model)


def _without_video(body: JsonValue, ref: OperationRef) -> JobFailed | JobOutcomeUnknown:
    refusal = refusal_in(body)
    if refusal is not None and refusal.is_plain:
        return end_of(refusal, ref.backend, ref.model)
    names_files = "https://" in str(body)
    said = f"{ref.backend} completed without a video"
    said += " that could be read" if names_files else ""
    unread = BackendResponseError(
        said if refusal is None else f"{said}; it says: {refusal.words}",
        hint=f"look at {ref.backend} for {ref.operation_id}: its answer names files"
        if names_files
        else "is it a video model? else media-agent jobs resume looks again",
    )
    return JobOutcomeUnknown(error=to_info(unread), model=ref.model)


def _whole_address(address: str, asked: str) -> str:
    """Return an address out of an answer, which may be relative to the one that was asked."""
    found = None if is_inline(address) else resolved(address, asked)
    return address if found is None else str(found)


def _artifact(
    address: str, facts: Mapping[str, JsonValue], expires_at: datetime | None
) -> Artifact:
    kind = (text(facts.get("content_type")) or "").partition(";")[0].strip()
    size = whole(facts.get("file_size"))
    return Artifact(
        uri=address,
        mime_type=kind if kind.startswith("video/") else "video/mp4",
        size_bytes=size if size is not None and size >= 0 else None,
        expires_at=expires_at,
    )
