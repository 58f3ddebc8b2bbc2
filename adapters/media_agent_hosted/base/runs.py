"""What replies about a run of a model mean, as fal's queue and Replicate write them; pure.

Routers hand such replies on as they are, so that several providers read them.
"""

import re
from dataclasses import replace

from pydantic import JsonValue

from media_agent.errors import (
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
from media_agent_hosted.parsing.lenient import number, text, trim, unwrap, value_at, whole
from media_agent_hosted.parsing.refusals import is_fine
from media_agent_hosted.parsing.states import State

_LONG_NAMES = ("workflows", "comfy")  # whose apps are named by three parts
_PERCENT = re.compile(r"(\d{1,3})%\|")  # as progress bars write it into the logs
_LOOKED_AT = 2000  # characters at the end of the logs


def app_of(model: str) -> str:
    """Return the app that a model at fal is in, whose path its work is below: owner/name."""
    parts = model.split("/")
    return "/".join(parts[: 3 if parts[0] in _LONG_NAMES else 2])


def read_queue(body: JsonValue, who: str) -> Status:
    """Read a reply of fal's queue; work that is called completed may have failed all the same."""
    said, status = unwrap(body), read_status(body)
    kind, error = text(said.get("error_type")), said.get("error")
    says_why = words_in(error) != "" and not is_fine(error)
    if status.state is State.FAILED or (
        status.state is State.DONE and (says_why or not is_fine(kind))
    ):
        words = words_in(error) or (None if kind else words_in(said) or status.word)
        return replace(status, state=State.FAILED, error=_failure(kind, words, who))
    before = whole(said.get("queue_position"))
    if status.state is State.QUEUED:
        return replace(status, message=None if before is None else f"{before} before it")
    seconds = _seconds(said, "metrics.inference_time")
    return replace(status, phase="generate", message=_last_line(said.get("logs")), seconds=seconds)


def read_prediction(body: JsonValue) -> Status:
    """Read a prediction as Replicate writes it; progress stands in its logs alone."""
    said, status = unwrap(body), read_status(body)
    found = _PERCENT.findall((text(said.get("logs")) or "")[-_LOOKED_AT:])
    fraction = min(1.0, int(found[-1]) / 100) if found else None
    return replace(
        status,
        fraction=fraction if status.state is State.RUNNING else None,
        seconds=_seconds(said, "metrics.predict_time"),
    )


def verdict_of_queue(reply: Reply, who: str) -> MediaAgentError | None:
    """Return the word that work failed, in an HTTP error to asking fal's queue for its result.

    None: it is no word about the work, but trouble on the way.
    """
    if reply.status == 422:
        return unprocessable(reply, who)
    kind = reply.object().get("error_type") or reply.headers.get("x-fal-error-type")
    kinds = [kind, *(fault.get("type") for fault in _faults(reply))]
    named = next((each for each in kinds if isinstance(each, str)), None)
    if reply.status >= 500 and named is not None:
        return _failure(named, reply.words(), who)
    return None


def unprocessable(reply: Reply, who: str) -> MediaAgentError:
    """Return the error for status 422: the content, or a field."""
    types = [str(fault.get("type")) for fault in _faults(reply)]
    refused = [each for each in types if cause_of([each], "") is Cause.CONTENT]
    if refused:
        return ContentRejectedError(
            f"{who} refuses the content of the request ({trim(refused[0])})",
            hint=f"change the prompt or the images; {who} may charge for refused requests",
        )
    return InvalidRequestError(
        f"{who} cannot use the request: {reply.words() or 'it does not say why'}",
        hint=f"change what it names; {who} may charge for refused requests",
    )


def _seconds(said: dict[str, JsonValue], place: str) -> float | None:
    taken = number(value_at(said, place))
    return None if taken is None or taken < 0 else taken


def _last_line(logs: JsonValue) -> str | None:
    """Return what the model wrote last."""
    lines = logs if isinstance(logs, list) else [logs]
    last = lines[-1] if lines else None
    return trim(text(last.get("message") if isinstance(last, dict) else last) or "") or None


def _faults(reply: Reply) -> list[dict[str, JsonValue]]:
    detail = reply.object().get("detail")
    return (
        [fault for fault in detail if isinstance(fault, dict)] if isinstance(detail, list) else []
    )


def _failure(kind: str | None, words: str | None, who: str) -> MediaAgentError:
    if kind is not None and cause_of([kind], "") is Cause.CONTENT:
        return ContentRejectedError(f"{who} refuses the content of the request")
    said = trim(words or kind or "it does not say why")
    named = f" ({trim(kind)})" if kind else ""
    return GenerationFailedError(
        f"{who} failed: {said}{named}",
        hint=f"make it again; {who} does not charge for its own failures",
    )
