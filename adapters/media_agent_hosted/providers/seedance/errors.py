"""What the codes of Ark mean. Its messages hold an id of the request, which is not handed on."""

import re
from dataclasses import replace

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    RequestError,
)
from media_agent_hosted.http.replies import Reply, general_error
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import text, trim, value_at
from media_agent_hosted.providers.seedance.regions import Region

_REQUEST_ID = re.compile(rb"\s*\brequest[ _-]?id\s*[:=]\s*[\w-]+\.?", re.IGNORECASE)
_OF_CONTENT = "SensitiveContentDetected"
_OF_PERSONS = "PrivacyInformation"
_BUSY = ("QuotaExceeded", "RateLimitExceeded", "ServerOverloaded")


def error_of_submission(reply: Reply, model_id: str, region: Region) -> MediaAgentError | None:
    """Return what a no to a submission means; None: what it means anywhere."""
    clean = without_request_id(reply)
    body = clean.object()
    code, said = _code_of(body), _say(body)
    if _OF_CONTENT in code:
        return _rejected(said, code)
    if clean.status in (401, 403):
        return BackendAuthenticationError(
            f"{said}; it refuses the key in region {region}",
            hint="check the key and what it may use: keys of BytePlus (international) and of "
            "Volcengine (mainland) are not interchangeable; the option region says which it is",
        )
    if clean.status == 404 and not clean.is_html:
        return InvalidRequestError(
            f"seedance has no model {model_id!r} in region {region}: {said}",
            hint="is it activated for the account? ids of the other region are unknown there",
        )
    if code.startswith(_BUSY):
        return BackendRateLimitError(said, retry_after=clean.retry_after, hint="try again later")
    return general_error(clean) if clean.status >= 400 else None


def error_of_question(reply: Reply) -> MediaAgentError | None:
    """Return the trouble with a question; None: what it means anywhere."""
    error = general_error(without_request_id(reply))
    return None if isinstance(error, RequestError) else error


def failure_of(task: dict[str, JsonValue]) -> MediaAgentError:
    """Return why a task failed or expired."""
    code = _code_of(task)
    if not code:
        word = trim(text(task.get("status")) or "failed")
        said = f"seedance says {word}, and not why"
        if word == "expired":
            said = "seedance let the task expire: it waited longer than it may"
        return GenerationFailedError(said, hint="make it again")
    if _OF_CONTENT in code:
        return _rejected(_say(task), code)
    return GenerationFailedError(_say(task), hint="make it again")


def without_request_id(reply: Reply) -> Reply:
    """Return a reply without the id of the request in its words."""
    return replace(reply, content=_REQUEST_ID.sub(b"", reply.content))


def _rejected(said: str, code: str) -> ContentRejectedError:
    if _OF_PERSONS in code:
        return ContentRejectedError(said, hint="use images that show no real person")
    return ContentRejectedError(said, hint="change the prompt, the images or the videos")


def _code_of(body: dict[str, JsonValue]) -> str:
    return text(value_at(body, "error.code")) or ""


def _say(body: dict[str, JsonValue]) -> str:
    words = _REQUEST_ID.sub(b"", words_in(body.get("error")).encode()).decode().strip()
    code = _code_of(body)
    return f"seedance says: {words or 'no, and not why'}" + (f" ({code})" if code else "")
