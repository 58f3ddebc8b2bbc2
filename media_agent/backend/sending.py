"""What is known of a submission on its way: whether it left this machine, and was refused.

Only whoever sends it can say. A backend that never says so may have sent it from the moment it was
asked to. One that does is believed: what goes wrong before it sends is trouble of our own, and what
goes wrong after the answer is no refusal, whatever it is, since it answers something else.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from media_agent.errors import (
    BackendError,
    BackendResponseError,
    ConfigurationError,
    GenerationFailedError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobCancelledError,
    MediaAgentError,
    NotResumableError,
    PluginError,
    RequestError,
    SubmitUncertainError,
)

_REFUSALS = (
    RequestError,
    BackendError,
    ConfigurationError,
    PluginError,
    IdempotencyConflictError,
    JobCancelledError,
    NotResumableError,
)
_NO_REFUSALS = (SubmitUncertainError, BackendResponseError, GenerationFailedError)


@dataclass(slots=True)
class Sending:
    """One submission on its way."""

    is_reporting: bool = False
    """Whether the backend says when it sends."""
    is_out: bool = False
    """Whether something was sent that was not refused."""
    was_out: bool = False
    """Whether that was so before what was sent last."""
    inputs: dict[str, str] = field(default_factory=dict)
    """The digests of the files that were read to be sent, by their paths."""

    @property
    def may_be_accepted(self) -> bool:
        """Whether it may have been accepted by now."""
        return self.is_out or not self.is_reporting


_CURRENT: ContextVar[Sending | None] = ContextVar("sending", default=None)


@contextlib.contextmanager
def follow_submission() -> Iterator[Sending]:
    """Learn what becomes of the submission that is made within the context."""
    current = Sending()
    token = _CURRENT.set(current)
    try:
        yield current
    finally:
        _CURRENT.reset(token)


def promise_to_report() -> None:
    """Promise that from here on all that may be accepted is sent within `sending`."""
    if (current := _CURRENT.get()) is not None:
        current.is_reporting = True


@contextlib.contextmanager
def sending() -> Iterator[None]:
    """Send within this context what may be accepted, and read its answer: a refusal is one."""
    current = _CURRENT.get() or Sending()
    was_out = current.was_out = current.is_out
    current.is_out = True
    try:
        yield
    except Exception as error:
        current.is_out = was_out or not _is_refusal(error)
        raise


def report_refusal() -> None:
    """Say that the answer to what was sent last is a no, where it is read after `sending`."""
    if (current := _CURRENT.get()) is not None:
        current.is_out = current.was_out


def record_input(path: str | Path, content: bytes) -> None:
    """Say what is sent of a file, which may have changed since it was first looked at."""
    if (current := _CURRENT.get()) is not None:
        current.inputs[str(path)] = hashlib.sha256(content).hexdigest()


def as_refusal(error: Exception, backend: str, sent: Sending) -> MediaAgentError | None:
    """Return the word that nothing was accepted; None: it may have been.

    Where a backend says when it sends, what breaks before is trouble of our own, whatever it is.
    """
    if sent.is_out or isinstance(error, SubmitUncertainError):
        return None
    if not sent.is_reporting:
        return error if isinstance(error, MediaAgentError) and _is_refusal(error) else None
    if isinstance(error, MediaAgentError):
        return error
    if isinstance(error, ValueError):  # such as text that is no Unicode, or a number without JSON
        return InvalidRequestError(f"{backend} cannot send this: {error}", hint="nothing was sent")
    said = f"{backend} failed before anything was sent: {type(error).__name__}: {error}"
    return PluginError(said)


def _is_refusal(error: Exception) -> bool:
    """Return whether an error of a submission is the word that nothing was accepted.

    An answer that makes no sense came after the request was sent; so may trouble of our own.
    """
    return isinstance(error, _REFUSALS) and not isinstance(error, _NO_REFUSALS)
