"""What the codes of MiniMax mean: in `base_resp` with HTTP 200, in an `error`, or behind its words.

Version 2 says "insufficient balance (1008)", and in a failed task {"code": "1026"}.
"""

import re

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendUnavailableError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.http.replies import Reply, uncertain
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import unwrap, value_at, whole

_TROUBLE = (1000,)
_BUSY = (1002,)
_KEY = (1004, 2049)
_CREDIT = (1008,)
_CONTENT = (1026, 1027)
_REQUEST = (2013,)
_PLACES = ("base_resp.status_code", "error.code")
_BEHIND = re.compile(r"\((\d{4})\)\s*$")


def code_of(body: JsonValue) -> int:
    """Return the code of a reply, or of a task; 0: it says none, or that all is well."""
    found = next(filter(None, (whole(value_at(body, place)) for place in _PLACES)), None)
    behind = _BEHIND.search(words_of(body))
    return found or (0 if behind is None else int(behind[1]))


def words_of(body: JsonValue) -> str:
    """Return what a reply says of an error, or of a task that failed."""
    said = unwrap(body)
    return words_in(said.get("base_resp")) or words_in(said.get("error")) or words_in(said)


def error_of_submission(reply: Reply) -> MediaAgentError | None:
    """Return what a code says of a submission; None: it is not known here."""
    body = reply.object()
    code, said = code_of(body), _say(body)
    if code in _TROUBLE:
        return uncertain(reply.host, said)
    if code in _REQUEST:
        return InvalidRequestError(said, hint="change what the message names")
    return error_of_content(body) or error_of_poll(body, reply.retry_after)


def error_of_content(body: JsonValue) -> ContentRejectedError | None:
    """Return the error for rejected content, before or after it was made; None: it is not that."""
    if code_of(body) not in _CONTENT:
        return None
    return ContentRejectedError(_say(body), hint="change the prompt or the images")


def error_of_poll(body: JsonValue, retry_after: float | None = None) -> MediaAgentError | None:
    """Return what a code says of a question, which says nothing of the work; None: of the work."""
    code, said = code_of(body), _say(body)
    if code in _KEY:
        hint = "check the key, and the region that it belongs to"
        return BackendAuthenticationError(said, hint=hint)
    if code in _CREDIT:
        return BackendAuthenticationError(said, hint="add credit there")
    if code in _BUSY:
        return BackendRateLimitError(said, retry_after=retry_after, hint="try again later")
    if code in _TROUBLE:
        return BackendUnavailableError(said, hint="try again later")
    return None


def _say(body: JsonValue) -> str:
    code = code_of(body)
    words = _BEHIND.sub("", words_of(body)).strip() or "no, and not why"
    return f"minimax says: {words}" + (f" ({code})" if code else "")
