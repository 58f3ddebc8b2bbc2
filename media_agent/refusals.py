"""What an error of a submission says: that nothing was accepted, or nothing at all."""

from media_agent.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRateLimitError,
    BackendRefusedError,
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    ModelRetiredError,
    PluginError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.sending import Sending, is_refusal

_AFTER_AN_ANSWER = (
    BackendRefusedError,
    BackendAuthenticationError,
    BackendRateLimitError,
    ContentRejectedError,
    InvalidRequestError,
    ModelRetiredError,
)
_FAULTS_OF_A_BACKEND = (BackendError, UnsupportedRequestError, ConfigurationError, PluginError)


def as_refusal(error: Exception, backend: str, sent: Sending) -> MediaAgentError | None:
    """Return the word that nothing was accepted; None: it may have been.

    Where a backend says when it sends, what breaks before is trouble of our own, whatever it is,
    and after that only the word of the service counts.
    """
    if not sent.is_told:
        return error if isinstance(error, MediaAgentError) and is_refusal(error) else None
    if isinstance(error, SubmitUncertainError):
        return None
    if sent.is_out:
        return error if isinstance(error, _AFTER_AN_ANSWER) else None
    if isinstance(error, MediaAgentError):
        return error
    if isinstance(error, ValueError):  # such as text that is no Unicode, or a number without JSON
        return InvalidRequestError(f"{backend} cannot send this: {error}", hint="nothing was sent")
    said = f"{backend} broke before anything was sent: {type(error).__name__}: {error}"
    return PluginError(said)


def lets_others_try(error: MediaAgentError) -> bool:
    """Return whether the fault lies with this backend, not with the request or its content."""
    return isinstance(error, _FAULTS_OF_A_BACKEND)
