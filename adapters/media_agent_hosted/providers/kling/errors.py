"""What the codes of Kling mean: they stand in the body of a reply, whatever its HTTP status.

429 is a limit of rate with some of them, and an empty account with others, which no waiting mends.
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
from media_agent_hosted.parsing.lenient import whole

_KEY = (1000, 1001, 1002, 1003, 1004)
_CREDIT = (1100, 1101, 1102)
_PERMISSION = (1103, 1304)
_REQUEST = (1200, 1201, 1202, 1203)
_CONTENT = (1300, 1301)
_BUSY = (1302, 1303)
_TROUBLE = (5000, 5001, 5002)
_OUR_KEY_IS_TAKEN = re.compile(
    r"external_task_id.*(exist|duplicat|unique|repeat|taken|already|used)"
    r"|(exist|duplicat|unique|repeat|already).*external_task_id",
    re.IGNORECASE,
)


def code_of(body: dict[str, JsonValue]) -> int:
    """Return the code of a reply; 0: it says none, or that all is well."""
    return whole(body.get("code")) or 0


def error_of_submission(reply: Reply) -> MediaAgentError | None:
    """Return what a code says of a submission; None: it is not known here."""
    body = reply.object()
    code, said = code_of(body), _say(body)
    if code in _TROUBLE or (code in _REQUEST and _OUR_KEY_IS_TAKEN.search(said)):
        # the latter: our own name for the work is taken, by the submission whose reply was lost
        return uncertain(reply.host, said)
    if code in _REQUEST:
        return InvalidRequestError(said, hint="change what the message names")
    if code in _CONTENT:
        return ContentRejectedError(said, hint="change the prompt or the images")
    return error_of_poll(body, reply.retry_after)


def error_of_poll(
    body: dict[str, JsonValue], retry_after: float | None = None
) -> MediaAgentError | None:
    """Return what a code says of a question, which says nothing of the work; None: of the work."""
    code, said = code_of(body), _say(body)
    if code in _KEY:
        return BackendAuthenticationError(
            said, hint="check the key, and the clock of this machine if it is a pair of keys"
        )
    if code in _CREDIT:
        return BackendAuthenticationError(said, hint="buy units, or pay what is due, there")
    if code in _PERMISSION:
        return BackendAuthenticationError(said, hint="check what the account may do there")
    if code in _BUSY:
        return BackendRateLimitError(said, retry_after=retry_after, hint="try again later")
    if code in _TROUBLE:
        return BackendUnavailableError(said, hint="try again later")
    return None


def _say(body: dict[str, JsonValue]) -> str:
    return f"kling says: {words_in(body) or 'no, and not why'} ({code_of(body)})"
