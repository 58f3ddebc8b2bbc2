"""What the end of work says of money: what it cost, what it does not, and what may still be billed.

By the word of its backend where it says one, else by what is declared of it. Pure: the ledger keeps
what comes of it.
"""

from dataclasses import dataclass

from media_agent_schemas.base import format_usd
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.events import (
    Cost,
    JobCancelled,
    JobFailed,
    TerminalEvent,
)
from media_agent_schemas.jobs import Cancellation
from media_agent_schemas.plan import Plan

UNSENT = Cancellation(
    stopped=True, may_bill_usd=0, said="stopped before anything was sent: nothing is billed"
)
NO_MORE_SEGMENTS = Cancellation(
    stopped=True, may_bill_usd=0, said="stopped between segments: nothing more is billed"
)
_FREE_WHILE_IT_WAITS = (CancelRule.QUEUED_ONLY, CancelRule.STOPS)


@dataclass(frozen=True, slots=True)
class Work:
    """As much of the work on a job as decides what it costs."""

    plan: Plan
    capabilities: Capabilities
    has_begun: bool
    """Whether its backend said that it no longer waits."""
    was_sent: bool
    """Whether anything may have been accepted."""

    @property
    def price(self) -> float | None:
        """What it may be billed at most, in USD; None: unknown."""
        return self.plan.estimate.bound_usd


def settled(end: TerminalEvent, work: Work) -> TerminalEvent:
    """Return the end of work with its cost, as far as that is known, and what may still be billed.

    Work that sends no bill costs its measured time, where the settings price it.
    """
    end = _with_cost(end, work)
    return _with_cancellation(end, work) if isinstance(end, JobCancelled) else end


def _with_cost(end: TerminalEvent, work: Work) -> TerminalEvent:
    estimate, cost = work.plan.estimate, end.cost
    rate, seconds = estimate.usd_per_second, end.timing.total_seconds
    sends_no_bill = cost is None or not cost.usd
    if work.capabilities.resubmits and rate is not None and seconds is not None and sends_no_bill:
        cost = Cost(seconds=seconds, source="measured")
    elif cost is None and isinstance(end, JobFailed) and work.capabilities.bills_failed is False:
        cost = Cost(usd=0, source=f"{work.plan.backend} does not bill work that failed")
    return end if cost is None else end.model_copy(update={"cost": cost.at(rate)})


def _with_cancellation(end: JobCancelled, work: Work) -> JobCancelled:
    """Say what stopped and what may still be billed; what is surely free is settled as free.

    Of a video in segments the last one has said it.
    """
    if not work.was_sent:
        return _told(end, UNSENT)
    if work.plan.segments and end.cancellation.said:
        return _told(end, end.cancellation)
    stopped = end.cancellation.stopped
    if work.capabilities.cancel_rule is CancelRule.FORGETS:
        stopped = False
    may_bill = _find_may_bill(end, work, stopped=stopped is True)
    said = _say(end, work, may_bill, stopped=stopped)
    if may_bill == 0 and end.cost is None and work.price != 0:
        free = Cost(usd=0, source="stopped before it began")
        end = end.model_copy(update={"cost": free})
    return _told(end, Cancellation(stopped=stopped, may_bill_usd=may_bill, said=said))


def _told(end: JobCancelled, cancellation: Cancellation) -> JobCancelled:
    warnings = end.warnings
    if cancellation.may_bill_usd != 0:
        warnings = (*warnings, cancellation.said)
    return end.model_copy(update={"cancellation": cancellation, "warnings": warnings})


def _find_may_bill(end: JobCancelled, work: Work, *, stopped: bool) -> float | None:
    rule, billed = work.capabilities.cancel_rule, end.cost
    if work.price == 0 or (billed is not None and billed.usd is not None):
        return 0.0
    if stopped and not work.has_begun and rule in _FREE_WHILE_IT_WAITS:
        return 0.0
    return work.price


def _say(end: JobCancelled, work: Work, may_bill: float | None, *, stopped: bool | str) -> str:
    name = work.plan.backend
    what = end.cancellation.said
    if not what and stopped is True:
        what = f"{name} stopped it" if work.has_begun else f"{name} stopped it before it began"
    elif not what or work.capabilities.cancel_rule is CancelRule.FORGETS:
        what = f"{name} forgot it, and its work continues there"
    billed = None if end.cost is None else end.cost.usd
    if billed:
        return f"{what}: {format_usd(billed)} USD are billed"
    if may_bill == 0:
        return f"{what}: nothing is billed"
    amount = "an unknown amount" if may_bill is None else f"up to {format_usd(may_bill)} USD"
    return f"{what}: {amount} may still be billed"
