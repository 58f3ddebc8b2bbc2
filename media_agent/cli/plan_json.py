"""A plan as JSON: who was chosen and with what, and the others in short."""

from typing import Any

from media_agent.errors import MediaAgentError, in_full, to_info
from media_agent.routing.explain import choose_plan
from media_agent.shorten import shorten
from media_agent_schemas.plan import Candidate, PlanReport

_MOST = 20  # candidates in short
_LONGEST = 160  # characters of a reason


def shorten_plan(report: PlanReport) -> dict[str, Any]:
    """Return a plan of a few kilobytes, whatever the number of candidates."""
    best = report.chosen
    short: dict[str, Any] = {
        "summary": report.summary,
        "chosen": None if best is None else _build_chosen(best),
        "data": [_build_row(each) for each in report.candidates[:_MOST]],
        "more": max(0, len(report.candidates) - _MOST),
        **report.model_dump(mode="json", include={"policy", "prefer"}),
        "request": report.request.model_dump(mode="json", exclude_defaults=True),
    }
    return short | _describe_refusal(report)


def dump_plan(report: PlanReport) -> dict[str, Any]:
    """Return all of it."""
    full = report.model_dump(mode="json")
    return {"data": full.pop("candidates"), **full} | _describe_refusal(report)


def find_refusal(report: PlanReport) -> MediaAgentError | None:
    """Return the error that generating would end with, None where somebody could."""
    try:
        choose_plan(report)
    except MediaAgentError as error:
        return error
    return None


def _describe_refusal(report: PlanReport) -> dict[str, Any]:
    error = find_refusal(report)
    if error is None:
        return {}
    exclude = {"schema_version"}
    return {"error": to_info(error).model_dump(mode="json", exclude=exclude, exclude_none=True)}


def _build_row(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as a row of a table."""
    row: dict[str, Any] = {
        "model": candidate.name,
        "rank": candidate.rank,
        "cost_usd": candidate.estimate.cost_usd,
    }
    if candidate.refusals:
        reason = shorten(in_full(candidate.refusals[0]), _LONGEST)
        return row | {"code": candidate.refusals[0].code, "reason": reason}
    return row | {
        "seconds": candidate.estimate.seconds,
        "method": candidate.method,
        "submissions": candidate.submissions,
        "seams": candidate.seams,
        "quality": None if candidate.quality is None else candidate.quality.tier,
        "verification": str(candidate.verification),
        "outlook": None if candidate.outlook is None else candidate.outlook.model_dump(),
        "local": candidate.local,
    }


def _build_chosen(candidate: Candidate) -> dict[str, Any]:
    """Return the candidate that would make it, with what it would be sent."""
    said = candidate.model_dump(mode="json", include={"licence", "reasons"})
    if candidate.plan is None:
        return _build_row(candidate) | said
    plan = candidate.plan.model_dump(mode="json", include={"adjustments", "warnings"})
    request = candidate.plan.request.model_dump(mode="json", exclude_defaults=True)
    use = candidate.plan.estimate.memory
    memory = {} if use is None else {"memory": use.model_dump(mode="json") | {"fits": use.fits}}
    return _build_row(candidate) | said | plan | memory | {"request": request}
