"""What the codes of Model Studio mean: they stand in the body of a reply, whatever its status."""

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.http.replies import Reply, uncertain
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import text

_CONTENT = ("DataInspectionFailed", "IPInfringementSuspect")
_TROUBLE = "InternalError"
_CHANGE = "change the prompt, the images or the videos"


def error_of_submission(reply: Reply, model_id: str, region: str) -> MediaAgentError | None:
    """Return what a no to a submission means; None: what it means anywhere."""
    body = reply.object()
    code, said = _code_of(body), _say(body)
    if code.startswith(_CONTENT):
        return ContentRejectedError(said, hint=_CHANGE)
    if code.startswith(_TROUBLE) and reply.status < 400:
        return uncertain(reply.host, said)  # as with a status from 500 up
    if code == "InvalidParameter":
        return InvalidRequestError(said, hint="change what the message names")
    if reply.status == 404 and not reply.is_html:
        return InvalidRequestError(
            f"dashscope has no model {model_id!r} in {region}: {words_in(body) or 'not found'}",
            hint="look for its exact id; not every model is in every region",
        )
    return error_of_question(reply.status, body, region, reply.retry_after)


def error_of_question(
    status: int,
    body: dict[str, JsonValue],
    region: str,
    retry_after: float | None = None,
) -> MediaAgentError | None:
    """Return what a no says of whoever asks, and nothing of the work; None: it is another one."""
    code, said = _code_of(body), _say(body)
    if code == "InvalidApiKey" or status == 401:
        return BackendAuthenticationError(
            f"dashscope refuses the key in {region}: {words_in(body) or 'invalid key'}",
            hint=f"a key is good for one region: check it, or set region to that of the key "
            f"({'beijing' if region == 'singapore' else 'singapore'})",
        )
    if status == 403:
        return BackendAuthenticationError(
            said, hint=f"check what the account may use in {region}, and its credit"
        )
    if code.startswith("Throttling"):
        return BackendRateLimitError(said, retry_after=retry_after, hint="try again later")
    return None


def failure_of(output: dict[str, JsonValue]) -> MediaAgentError:
    """Return why a task failed."""
    said = _say(output)
    if _code_of(output).startswith(_CONTENT):
        return ContentRejectedError(said, hint=_CHANGE)
    return GenerationFailedError(said, hint="make it again")


def _code_of(body: dict[str, JsonValue]) -> str:
    return text(body.get("code")) or ""


def _say(body: dict[str, JsonValue]) -> str:
    code = _code_of(body)
    named = f" ({code})" if code else ""
    return f"dashscope says: {words_in(body.get('message')) or 'no, and not why'}{named}"
