"""What the errors of `gradio_client` mean: for a call that was not named yet, and at its end.

The library does not say whether a call was taken on. Only a plain no of the app is a refusal.
"""

from collections.abc import Collection

import httpx

from media_agent.errors import (
    BackendUnavailableError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    SubmitUncertainError,
)
from media_agent.redact import redact
from media_agent.storage.network import reason_of
from media_agent_hosted.http.replies import Reply, general_error, uncertain
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.lenient import trim


def error_of_call(
    error: BaseException | None, host: str, secrets: Collection[str]
) -> MediaAgentError:
    """Return what it means that a call ended before the app named it."""
    from gradio_client.exceptions import ValidationError

    if isinstance(error, MediaAgentError):
        return error
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return BackendUnavailableError(
            f"{host} cannot be reached ({redact(reason_of(error), secrets)})"
        )
    if isinstance(error, httpx.HTTPStatusError):
        return general_error(_reply(error.response, host, secrets))
    said = _words(error, secrets)
    if isinstance(error, ValidationError):
        return InvalidRequestError(f"{host} refuses the call: {said}")
    return uncertain(host, f"{host} did not say whether it took the call on ({said})")


def error_of_end(
    error: BaseException, host: str, secrets: Collection[str]
) -> GenerationFailedError | ContentRejectedError | SubmitUncertainError:
    """Return what it means that a call which was taken on gave nothing."""
    from gradio_client.exceptions import AppError

    said = _words(error, secrets)
    if not isinstance(error, AppError):
        return SubmitUncertainError(
            f"the connection to {host} was lost while it worked ({said})",
            hint="look at the app itself: its answer cannot be heard again",
        )
    is_rejected = cause_of((), said) is Cause.CONTENT
    kind = ContentRejectedError if is_rejected else GenerationFailedError
    return kind(f"{host} says: {said}")


def _reply(response: httpx.Response, host: str, secrets: Collection[str]) -> Reply:
    return Reply(
        status=response.status_code,
        headers={name.lower(): redact(value, secrets) for name, value in response.headers.items()},
        content=response.content,
        host=host,
        paid=True,
        secrets=frozenset(secrets),
    )


def _words(error: BaseException | None, secrets: Collection[str]) -> str:
    return trim(redact(str(error) or type(error).__name__, secrets))
