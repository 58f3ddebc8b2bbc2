"""How often a key may call, and an address may fail to name one.

The package that counts is loaded with the first call that counts: many servers have no such key.
"""

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from media_agent.errors import RateLimitError
from media_agent.ledger.serving.api_keys import ApiKey

if TYPE_CHECKING:
    from limits.storage import MemoryStorage
    from limits.strategies import MovingWindowRateLimiter

FAILURES_PER_MINUTE = 20
_MOST_ADDRESSES = 10_000  # that are remembered for failures; past that all of them are forgotten


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of the calls of a minute."""

    limit: int
    remaining: int
    reset_seconds: float

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of a reply, as OpenAI's clients know them."""
        told = {
            "limit": str(self.limit),
            "remaining": str(self.remaining),
            "reset": f"{math.ceil(self.reset_seconds)}s",
        }
        return [
            (f"x-ratelimit-{name}-requests".encode(), value.encode())
            for name, value in told.items()
        ]


class Rates:
    """Counts calls in moving windows of a minute, in memory."""

    def take_call(self, key: ApiKey) -> Allowance | None:
        """Count a call of a key, and return what is left; None: it has no limit.

        Raises:
            RateLimitError: nothing was left.
        """
        limit = key.terms.requests_per_minute
        if limit is None:
            return None
        from limits import RateLimitItemPerMinute

        item = RateLimitItemPerMinute(limit)
        is_taken = self._calls.hit(item, key.id)
        begins_again, remaining = self._calls.get_window_stats(item, key.id)
        seconds = max(0.0, begins_again - time.time())
        if not is_taken:
            raise RateLimitError(
                f"this API key allows {limit} calls a minute", retry_after=max(1.0, seconds)
            )
        return Allowance(limit, remaining, seconds)

    def take_failure(self, address: str) -> None:
        """Count that an address named no valid key; a valid one is never held up by that.

        Raises:
            RateLimitError: it does so all the time.
        """
        from limits import RateLimitItemPerMinute

        if len(self._failures_kept.events) > _MOST_ADDRESSES:
            self._failures_kept.reset()
        if not self._failures.hit(RateLimitItemPerMinute(FAILURES_PER_MINUTE), address):
            raise RateLimitError(
                "too many calls without a valid API key came from this address", retry_after=60.0
            )

    @cached_property
    def _calls(self) -> "MovingWindowRateLimiter":
        return _count_in(_new_storage())

    @cached_property
    def _failures_kept(self) -> "MemoryStorage":
        return _new_storage()

    @cached_property
    def _failures(self) -> "MovingWindowRateLimiter":
        return _count_in(self._failures_kept)


def _new_storage() -> "MemoryStorage":
    from limits.storage import MemoryStorage

    return MemoryStorage()


def _count_in(storage: "MemoryStorage") -> "MovingWindowRateLimiter":
    from limits.strategies import MovingWindowRateLimiter

    return MovingWindowRateLimiter(storage)
