"""The form in which an error crosses a process."""

from collections.abc import Callable

from pydantic import Field

from media_agent_schemas.base import Document

LONGEST_CODE = 64  # characters of a provider's code; anything longer is no code


class ErrorInfo(Document):
    """What went wrong, and the fix; never a secret."""

    code: str = Field(min_length=1, description="Stable code, for example invalid_request.")
    message: str = Field(description="Names the thing and the value.")
    hint: str | None = Field(default=None, description="How to fix it.")
    retryable: bool = Field(default=False, description="Whether the same request may work later.")
    provider_code: str | None = Field(
        default=None,
        max_length=LONGEST_CODE,
        description="The provider's own code for it, as it says it; null: it said none.",
    )


class JobEndedError(Exception):
    """Raised for a job that did not complete, where the client with its own errors is not there."""


def _as_plain_error(info: ErrorInfo) -> Exception:
    return JobEndedError(info.message)


_factories: list[Callable[[ErrorInfo], Exception]] = [_as_plain_error]


def raise_as(factory: Callable[[ErrorInfo], Exception]) -> None:
    """Let jobs raise their errors as `factory` makes them; the client does so with its own."""
    _factories[:] = [factory]


def to_exception(info: ErrorInfo) -> Exception:
    """Return the exception that an error stands for."""
    return _factories[0](info)
