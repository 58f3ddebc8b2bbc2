"""When a request is sent again: after trouble in which nothing can have been accepted."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from media_agent.errors import (
    BackendRateLimitError,
    BackendUnavailableError,
    MediaAgentError,
    SubmitUncertainError,
)

Sleep = Callable[[float], Awaitable[None]]
_Result = TypeVar("_Result")

_ATTEMPTS = 5
_LONGEST_WAIT = 60.0  # seconds; a provider that asks for longer is reported instead
_FIRST_PAUSE = 0.5  # seconds; each next one is twice as long
_LONGEST_PAUSE = 8.0


def nothing_was_accepted(error: BaseException) -> bool:
    """Return whether the same request may be sent again, and soon."""
    return asks_to_wait(error) or was_not_reached(error)


def asks_to_wait(error: BaseException) -> bool:
    """Return whether a provider asked to send the same request again, and soon."""
    return isinstance(error, BackendRateLimitError) and (error.retry_after or 0.0) <= _LONGEST_WAIT


def was_not_reached(error: BaseException) -> bool:
    """Return whether a provider was not reached, or said that it is in trouble."""
    return isinstance(error, BackendUnavailableError)


async def repeat(
    attempt: Callable[[], Awaitable[_Result]],
    sleep: Sleep,
    *,
    is_known_again: bool = False,
    may_repeat: Callable[[BaseException], bool] = nothing_was_accepted,
) -> _Result:
    """Attempt until it works, with pauses that grow or that the provider asked for.

    With `is_known_again` the provider knows a request again by its key, so that it is sent again
    also after a lost reply. After all else `may_repeat` decides.

    Raises:
        SubmitUncertainError: a reply was lost on the way, whatever came after it.
        MediaAgentError: the last trouble, or the first that forbids another attempt.
    """
    lost: list[SubmitUncertainError] = []

    def is_repeated(error: BaseException) -> bool:
        if is_known_again and isinstance(error, SubmitUncertainError):
            lost.append(error)
            return True
        return may_repeat(error)

    retrying = AsyncRetrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=_pause,
        retry=retry_if_exception(is_repeated),
        sleep=sleep,
        reraise=True,
    )
    try:
        return await retrying(attempt)
    except MediaAgentError as error:
        if lost and error is not lost[0]:  # what is refused now may have been accepted then
            raise lost[0] from error
        raise


def _pause(state: RetryCallState) -> float:
    """Return how long to wait: longer each time, and no less than the provider said."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, BackendRateLimitError) else None
    own: float = min(_FIRST_PAUSE * 2 ** (state.attempt_number - 1), _LONGEST_PAUSE)
    return max(own * random.uniform(0.5, 1.0), asked or 0.0)
