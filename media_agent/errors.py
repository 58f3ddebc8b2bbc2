"""The one error tree: all that is raised on purpose.

    MediaAgentError                    .code (stable) .retryable .hint .provider_code
      RequestError                     the request is at fault; sending it again changes nothing
        InvalidRequestError            invalid_request
        UnsupportedRequestError        unsupported_request     .mismatches
        ContentRejectedError           content_rejected
        PolicyRefusedError             policy_refused          .notes
        PolicyFailedError              policy_failed           .notes
        BudgetExceededError            budget_exceeded
        AuthenticationError            authentication
        ForbiddenError                 forbidden
        RateLimitError                 rate_limit              .retry_after
        TooLargeError                  too_large
        TooSlowError                   too_slow
      BackendError                     whoever makes the video is at fault
        BackendAuthenticationError     backend_authentication
        BackendRateLimitError          backend_rate_limit      .retry_after
        BackendUnavailableError        backend_unavailable
        ModelRetiredError              model_retired
        BackendResponseError           backend_response
          VideoNotFetchedError         video_not_fetched
        BackendRefusedError            backend_refused
        SubmitUncertainError           submit_uncertain
        GenerationFailedError          generation_failed
        BelowQualityError              below_quality
      JobError                         the job, or the operation behind it
        JobNotFoundError               job_not_found
        OperationNotFoundError         operation_not_found
        IdempotencyConflictError       idempotency_conflict
        JobCancelledError              job_cancelled
        NotResumableError              not_resumable
        VideoNotReadyError             video_not_ready
      ConfigurationError               configuration           .faults
      PluginError                      plugin
      StorageError                     storage: disk full, folder gone, file damaged
        LedgerBusyError                ledger_busy             .retry_after

A message names the thing, the value and the way out; the way out is the `hint`. What others said is
put into one without keys. `error_codes` says, for each code, the HTTP status and the exit code of
the command line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from media_agent.wording import to_python
from media_agent_schemas.errors import ErrorInfo, raise_as
from media_agent_schemas.policies import PolicyNote


class MediaAgentError(Exception):
    """Base of all errors raised on purpose; `code` is stable, `message` is for people.

    `message` and `hint` speak of flags and commands; the text of the exception, and its note, speak
    of the arguments of `VideoClient`, since a program shows them.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(to_python(message))
        self.message = message
        self.hint = hint
        self.provider_code: str | None = None
        if hint:
            self.add_note(to_python(hint))

    def with_provider_code(self, code: str | None) -> Self:
        """Return the error itself with the code that its provider gives it; the first one stays."""
        self.provider_code = self.provider_code or code
        return self


class RequestError(MediaAgentError):
    """The request itself cannot be served."""

    code = "request"


class InvalidRequestError(RequestError):
    """A value is malformed, impossible, or names something that does not exist."""

    code = "invalid_request"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field that a backend cannot serve as asked."""

    field: str
    asked: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field} = {self.asked}: {self.reason}"


class UnsupportedRequestError(RequestError):
    """The request is sound, but this backend cannot do it; all mismatches are listed at once."""

    code = "unsupported_request"

    def __init__(
        self, message: str, *, mismatches: Sequence[Mismatch] = (), hint: str | None = None
    ) -> None:
        details = "; ".join(str(mismatch) for mismatch in mismatches)
        super().__init__(f"{message}: {details}" if details else message, hint=hint)
        self.mismatches = tuple(mismatches)


class ContentRejectedError(RequestError):
    """The backend refuses the content of the prompt or of an input."""

    code = "content_rejected"


class PolicyRefusedError(RequestError):
    """A policy of the settings refuses a request, or the video that was made of it."""

    code = "policy_refused"

    def __init__(
        self, message: str, *, notes: Sequence[PolicyNote] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.notes = tuple(notes)  # what was said until then, the refusal last


class PolicyFailedError(RequestError):
    """A policy of the settings could not be asked, which counts as a no."""

    code = "policy_failed"
    retryable = True

    def __init__(
        self, message: str, *, notes: Sequence[PolicyNote] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.notes = tuple(notes)


class BudgetExceededError(RequestError):
    """The estimate is above what the caller allowed."""

    code = "budget_exceeded"


class AuthenticationError(RequestError):
    """A server was called without a key, or with one that is not valid."""

    code = "authentication"


class ForbiddenError(RequestError):
    """A server does not do this for this caller, or not from where the call comes."""

    code = "forbidden"


class RateLimitError(RequestError):
    """A caller of a server asks more often, or has more jobs under way, than their key allows."""

    code = "rate_limit"
    retryable = True

    def __init__(
        self, message: str, *, retry_after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after  # seconds; None: when one of the jobs has ended


class TooLargeError(RequestError):
    """What was sent to a server, or is at an address that was named to it, is too large."""

    code = "too_large"


class TooSlowError(RequestError):
    """What was being sent to a server came too slowly, or stopped coming."""

    code = "too_slow"
    retryable = True


class BackendError(MediaAgentError):
    """The backend, not the request, is at fault."""

    code = "backend"


class BackendAuthenticationError(BackendError):
    """The backend refuses the key, or none was given."""

    code = "backend_authentication"


class BackendRateLimitError(BackendError):
    """The backend asks to wait; nothing was accepted."""

    code = "backend_rate_limit"
    retryable = True

    def __init__(
        self, message: str, *, retry_after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after  # seconds; None: the backend did not say


class BackendUnavailableError(BackendError):
    """The backend cannot be reached or started; nothing was accepted."""

    code = "backend_unavailable"
    retryable = True


class ModelRetiredError(BackendError):
    """The model existed and is gone."""

    code = "model_retired"


class BackendResponseError(BackendError):
    """The backend answered something that nobody can make sense of."""

    code = "backend_response"


class VideoNotFetchedError(BackendResponseError):
    """A finished video could not be brought here whole; it may be fetched later."""

    code = "video_not_fetched"


class BackendRefusedError(BackendError):
    """The backend answered a submission with a plain no; nothing was accepted."""

    code = "backend_refused"


class SubmitUncertainError(BackendError):
    """The reply to a submission was lost: nobody knows if it was accepted. Never sent again."""

    code = "submit_uncertain"


class GenerationFailedError(BackendError):
    """The work was accepted and then failed."""

    code = "generation_failed"


class BelowQualityError(BackendError):
    """A video was made, and it is worse than the settings allow."""

    code = "below_quality"
    retryable = True


class JobError(MediaAgentError):
    """A job, or the operation behind it, cannot be handled as asked."""

    code = "job"


class JobNotFoundError(JobError):
    """No job has this id."""

    code = "job_not_found"


class OperationNotFoundError(JobError):
    """The backend knows nothing of this operation."""

    code = "operation_not_found"


class IdempotencyConflictError(JobError):
    """The same key was used for another request."""

    code = "idempotency_conflict"


class JobCancelledError(JobError):
    """The job was stopped on purpose."""

    code = "job_cancelled"


class NotResumableError(JobError):
    """The work cannot be continued from this token."""

    code = "not_resumable"


class VideoNotReadyError(JobError):
    """A video is not finished, and what was asked needs the whole of it."""

    code = "video_not_ready"
    retryable = True


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the settings: where, as ("backends", "fal", "key"), and what."""

    place: tuple[str, ...]
    problem: str


class ConfigurationError(MediaAgentError):
    """A setting is malformed or missing; `faults` says which, where that is known.

    Whoever puts a value of the settings in takes out what looks like a key: it may stand there.
    """

    code = "configuration"

    def __init__(
        self, message: str, *, faults: Sequence[Fault] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.faults = tuple(faults)


class PluginError(MediaAgentError):
    """A plugin could not be loaded or said something unusable; the others work."""

    code = "plugin"


class StorageError(MediaAgentError):
    """A file could not be written, or is not what was written."""

    code = "storage"


class LedgerBusyError(StorageError):
    """Another process has been writing to the ledger for too long; what was asked was not done."""

    code = "ledger_busy"
    retryable = True
    retry_after = 5.0  # seconds


def to_info(error: BaseException) -> ErrorInfo:
    """Return the error as data; one outside the tree is `internal`, named by its class."""
    if isinstance(error, MediaAgentError):
        return ErrorInfo(
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            hint=error.hint,
            provider_code=error.provider_code,
        )
    return ErrorInfo(code="internal", message=f"{type(error).__name__}: {error}", retryable=False)


def from_info(info: ErrorInfo) -> MediaAgentError:
    """Return the error that this data stands for; an unknown code is a failed generation."""
    classes = {error_class.code: error_class for error_class in error_classes()}
    error = classes.get(info.code, GenerationFailedError)(info.message, hint=info.hint)
    return error.with_provider_code(info.provider_code)


raise_as(from_info)


def in_full(error: MediaAgentError | ErrorInfo) -> str:
    """Return what went wrong and, in brackets, the way out."""
    return error.message + (f" ({error.hint})" if error.hint else "")


def in_one_sentence(error: MediaAgentError | ErrorInfo) -> str:
    """Return what went wrong and the way out, for those who read a message only."""
    return error.message if error.hint is None else f"{error.message}; {error.hint}"


def error_classes() -> Iterator[type[MediaAgentError]]:
    """Yield every class of the tree, the root first; subclasses that plugins made are not of it."""
    pending: list[type[MediaAgentError]] = [MediaAgentError]
    while pending:
        error_class = pending.pop(0)
        yield error_class
        children = error_class.__subclasses__()
        pending[:0] = [child for child in children if child.__module__ == __name__]
