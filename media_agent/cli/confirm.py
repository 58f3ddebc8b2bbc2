"""What work will cost: said before anything is sent, and asked about above a limit."""

import asyncio
import sys
from collections.abc import Sequence
from itertools import chain, islice, repeat

from media_agent.cli.screen import ask, is_terminal, read_yes, write_stderr
from media_agent.errors import JobCancelledError
from media_agent.routing.methods.segments import sum_known
from media_agent_schemas.base import format_usd
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.plan import Plan


async def confirm_plans(plans: Sequence[Plan], *, above: float, yes: bool) -> tuple[Plan, ...]:
    """Say what the first plan costs, ask if it is more than `above`, and return what to follow.

    The other plans are for when the first is refused. Where a person can be asked, those stay that
    cost no more than what needs no question, or than what was agreed to.

    Raises:
        JobCancelledError: the answer is no; nothing was sent.
    """
    first, *others = plans
    price = first.estimate.cost_usd
    asks = is_terminal() and not yes
    if asks:
        most = max(above, price or 0.0)
        others = [each for each in others if _is_within(each.estimate.cost_usd, most)]
    prices = [plan.estimate.cost_usd for plan in (first, *others)]
    if any(usd != 0 for usd in prices):
        write_stderr(f"price: {_describe(price, prices)}")
    if asks and not _is_within(price, above):
        await _ask(f"generate it for {_describe_sum(price)}?")
    return (first, *others)


async def confirm_rest(job: VideoJob, *, above: float, yes: bool) -> None:
    """Say what is left to pay for a job that is resumed, and ask if it is more than `above`.

    Raises:
        JobCancelledError: the answer is no; nothing was sent.
    """
    if job.plan.estimate.cost_usd == 0 or job.status is JobStatus.COMPLETED:
        return
    if not job.plan.segments and (job.status.is_terminal or not _is_unsent(job)):
        return  # what was accepted is found again, and never sent twice
    rest = _add_up_rest(job)
    write_stderr(f"price: {_about(rest)} for what is left of job {job.id}")
    if is_terminal() and not yes and not _is_within(rest, above):
        await _ask(f"resume it for {_describe_sum(rest)}?")


def _is_unsent(job: VideoJob) -> bool:
    return job.cost_usd == 0 and job.cost_source is None


def _add_up_rest(job: VideoJob) -> float | None:
    """Return the price of a job, or of its segments that are not there yet."""
    if not job.plan.segments:
        return job.plan.estimate.cost_usd
    each = (repeat(segment.estimate.cost_usd, segment.count) for segment in job.plan.segments)
    return sum_known(islice(chain.from_iterable(each), job.chunks_ready, None))


def _describe(first: float | None, prices: Sequence[float | None]) -> str:
    """Return the price in words, and the highest of those who may have to take over."""
    most = None if None in prices else max(usd for usd in prices if usd is not None)
    said = "free" if first == 0 else _about(first)
    if first is None or most == first:
        return said
    return f"{said}; {_about(most)} if another backend has to take over"


def _about(usd: float | None) -> str:
    return "unknown" if usd is None else f"about {format_usd(usd)} USD"


def _describe_sum(usd: float | None) -> str:
    return "a price that is unknown" if usd is None else _about(usd)


def _is_within(usd: float | None, limit: float) -> bool:
    return usd is not None and usd <= limit


async def _ask(question: str) -> None:
    """Wait for an answer, in a way that Ctrl-C can end.

    Raises:
        JobCancelledError: it is not yes.
    """
    typed = asyncio.Event()
    ask(f"{question} [y/N]")
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()
    loop.add_reader(keyboard, typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(keyboard)
    if not read_yes():
        raise JobCancelledError("not confirmed; nothing was sent", hint="--yes skips the question")
