"""What an answer of fal's queue means; pure, nothing is sent from here."""

from dataclasses import replace

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.base.calls import Status
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import number, text, trim, unwrap, whole
from media_agent_hosted.parsing.refusals import is_fine
from media_agent_hosted.parsing.states import State


def parse_status(body: JsonValue) -> Status:
    """Read the answer to a poll; work that is called completed may have failed all the same."""
    said, status = unwrap(body), read_status(body)
    kind, error = text(said.get("error_type")), said.get("error")
    says_why = words_in(error) != "" and not is_fine(error)
    if status.state is State.FAILED or (
        status.state is State.DONE and (says_why or not is_fine(kind))
    ):
        words = words_in(error) or (None if kind else words_in(said) or status.word)
        return replace(status, state=State.FAILED, error=_failure(kind, words))
    before = whole(said.get("queue_position"))
    if status.state is State.QUEUED:
        return replace(status, message=None if before is None else f"{before} before it")
    metrics = said.get("metrics")
    taken = number(metrics.get("inference_time")) if isinstance(metrics, dict) else None
    seconds = None if taken is None or taken < 0 else taken
    return replace(status, phase="generate", message=_last_line(said.get("logs")), seconds=seconds)


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
            return _unprocessable(reply)
    return None


def verdict_of(reply: Reply) -> MediaAgentError | None:
    """Return fal's own word that the work failed, in answer to asking for its result.

    None: it is no word about the work, but trouble on the way.
    """
    if reply.status == 422:
        return _unprocessable(reply)
    kind = reply.object().get("error_type") or reply.headers.get("x-fal-error-type")
    kinds = [kind, *(fault.get("type") for fault in _faults(reply))]
    named = next((each for each in kinds if isinstance(each, str)), None)
    if reply.status >= 500 and named is not None:
        return _failure(named, reply.words())
    return None


def _last_line(logs: JsonValue) -> str | None:
    """Return what the model wrote last."""
    lines = logs if isinstance(logs, list) else [logs]
    last = lines[-1] if lines else None
    return trim(text(last.get("message") if isinstance(last, dict) else last) or "") or None


def _unprocessable(reply: Reply) -> MediaAgentError:
    """Return the error for status 422: the content, or a field."""
    types = [str(fault.get("type")) for fault in _faults(reply)]
    refused = [each for each in types if cause_of([each], "") is Cause.CONTENT]
    if refused:
        return ContentRejectedError(
            f"fal refuses the content of the request ({trim(refused[0])})",
            hint="change the prompt or the images; fal may charge for refused requests",
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
    if kind is not None and cause_of([kind], "") is Cause.CONTENT:
        return ContentRejectedError("fal refuses the content of the request")
    said = trim(words or kind or "it does not say why")
    named = f" ({trim(kind)})" if kind else ""
    return GenerationFailedError(
        f"fal failed: {said}{named}", hint="make it again; fal does not charge for its own failures"
    )
