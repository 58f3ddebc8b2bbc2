"""What of the budgets is spent or held, and whether there is room for what comes."""

from datetime import datetime, timedelta

from media_agent.ledger.rows import terms_of, text_of
from media_agent.ledger.serving.api_keys import limits_of
from media_agent.ledger.settlement import TAKEN
from media_agent.ledger.store.database import Row, Transaction
from media_agent.negotiation.budget import begin_of_day, check_caller, check_day
from media_agent_schemas.plan import Plan

_SPENT = f"""
SELECT sum({TAKEN}) AS usd FROM submissions JOIN jobs ON jobs.id = job_id
WHERE state != 'refused' AND submissions.created_at >= :earliest
    AND (submissions.created_at >= :since
        OR (attempts > 1 AND coalesce(settled_at >= :since, TRUE)))
    AND key != :but"""
_SPENT_BY_CALLER = f"{_SPENT} AND jobs.caller = :caller"
_LATER = timedelta(days=7)
"""For so long after its intent, work that is made again counts on the day when that ends, too."""
_LAST_SETTLED = """
SELECT number, key, billed_usd FROM submissions
WHERE job_id = :job AND state != 'refused' AND settled_at IS NOT NULL ORDER BY id DESC LIMIT 1"""


def check_again(transaction: Transaction, job: Row, time: datetime, per_day: float | None) -> None:
    """Check what a job that has ended may cost anew; that of another one is held already.

    Raises:
        BudgetExceededError: it would cost more than is left of the day, or of a budget.
    """
    terms = terms_of(job)
    last = transaction.row(_LAST_SETTLED, job=job["id"])
    if last is None or terms.plans[last["number"]].segments:  # whose parts are checked one by one
        return
    plan, key = terms.plans[last["number"]], last["key"]
    cost_before = last["billed_usd"] or 0.0
    if per_day is not None:
        spent = spent_since(transaction, begin_of_day(time), but=key) + cost_before
        check_day(plan, spent=spent, per_day=per_day)
    if terms.caller is not None:
        check_caller_budgets(transaction, terms.caller, plan, time, already=-cost_before, but=key)


def check_caller_budgets(
    transaction: Transaction,
    caller: str,
    plan: Plan,
    now: datetime,
    *,
    already: float = 0.0,
    but: str = "",
) -> None:
    """Check a plan against the budgets of a caller; `already` is what stands there of its price.

    Raises:
        BudgetExceededError: it would cost more, or its price is unknown.
    """
    limits = limits_of(transaction, caller, now)
    for limit, period, since in (
        (limits.usd_per_day, "for a day (UTC)", begin_of_day(now)),
        (limits.usd_total, "in total", None),
    ):
        if limit is not None:
            spent = spent_since(transaction, since, caller, but=but) - already
            check_caller(plan, caller, spent=spent, limit=limit, period=period)


def spent_since(
    transaction: Transaction, since: datetime | None, caller: str | None = None, *, but: str = ""
) -> float:
    """Return what is spent or held since a time, but for the submission of a key."""
    values = {
        "since": "" if since is None else text_of(since),
        "earliest": "" if since is None else text_of(since - _LATER),
        "but": but,
    }
    if caller is None:
        row = transaction.row(_SPENT, **values)
    else:
        row = transaction.row(_SPENT_BY_CALLER, caller=caller, **values)
    return 0.0 if row is None or row["usd"] is None else float(row["usd"])
