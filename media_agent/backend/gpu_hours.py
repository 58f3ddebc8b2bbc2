"""What work costs that sends no bill: its hours, at the price that the settings give."""

from media_agent_schemas.base import known_usd
from media_agent_schemas.estimate import Estimate

_MARGIN = 2.0
"""How much longer than estimated work may take, at most, as far as budgets hold money for it."""
_LEAST_SECONDS = 60.0
"""Held at least: work that was told to stop may take so long to end, and none of it is free."""
_SECONDS_AN_HOUR = 3600.0


def by_the_hour(
    estimate: Estimate, usd_per_hour: float | None, deadline: float | None = None
) -> Estimate:
    """Return the estimate of work that costs nothing else with the price of its hours.

    It costs the estimated time, and at most twice as much, or as long as its `deadline` (seconds)
    lets it run; a minute in any case. Where nobody knows how long it takes only a deadline gives it
    a price. What it cost is measured at its end.
    """
    if usd_per_hour is None or (estimate.cost_usd or 0) > 0:
        return estimate
    rate = usd_per_hour / _SECONDS_AN_HOUR
    seconds = estimate.seconds
    limits = [] if seconds is None else [_MARGIN * seconds]
    limits += [] if deadline is None else [deadline]
    most = min(limits, default=None)
    usual = most if seconds is None or most is None else min(seconds, most)
    most_usd = None if most is None else known_usd(max(most, _LEAST_SECONDS) * rate)
    said = f"{usd_per_hour:g} USD an hour, by the settings"
    return estimate.model_copy(
        update={
            "cost_usd": None if usual is None or most_usd is None else known_usd(usual * rate),
            "most_usd": most_usd,
            "usd_per_second": rate,
            "source": said if estimate.source is None else f"{estimate.source}; {said}",
        }
    )
