"""What an offer is asked for, and what is to be expected of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """What an offer is asked for."""

    offer: str
    at: float
    """When, in seconds since the epoch."""
    video_seconds: float | None = None
    short_side: int | None = None
    quoted_usd: float | None = None
    expected_seconds: float | None = None
    """By the catalogue."""
    priced_on: str | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of one offer; None: nobody knows."""

    fails: float
    """How likely it fails."""
    seconds: float | None
    """The mean, if it does not fail."""
    seconds_failing: float
    usd: float | None
    """What a video costs."""
    usd_failing: float | None
    fails_deviation: float = 0.0
    """This and the next one: standard deviations of what is expected."""
    log_deviation: float = 0.0
    """Of the logarithm of the seconds."""
    most_usd: float | None = None
    """What a video may cost at most, by its plan; None: as above."""
    unheard: int = 0
    """Outcomes of others since the offer was heard of."""
    is_pooled: bool = False
    """Its own seconds are unknown: these are those of all offers."""
