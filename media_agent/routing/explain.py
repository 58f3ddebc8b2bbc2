"""The order of the candidates, and the reasons for it, as text."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from media_agent.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    PluginError,
    from_info,
    in_full,
)
from media_agent.negotiation.draft import format_value
from media_agent.routing.learning.outlook import LEARNED, in_words
from media_agent.shorten import shorten
from media_agent_schemas.base import format_usd
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.plan import Adjustment, Candidate, Method, Plan, PlanReport
from media_agent_schemas.request import RoutingPreference

_METHOD_RANK = {Method.SINGLE: 0, Method.ENDLESS: 0, Method.EXTEND: 1, Method.CHAIN: 2}
_UNKNOWN = float("inf")
_MOST_FAIL = 0.5
_DIGITS = 6  # of a price; sums of floating-point numbers differ behind them
_NAMES_SHOWN = 3
_REASONS_SHOWN = 4
_LONGEST_REASON = 360  # characters
_HINTS = {
    "needs a key": "media-agent keys set BACKEND stores one; media-agent backends BACKEND/MODEL "
    "says where it is made"
}
_PREFERENCES = {
    RoutingPreference.CHEAPEST: "by price",
    RoutingPreference.FASTEST: "by speed",
    RoutingPreference.BALANCED: "by price and the cost of waiting",
    RoutingPreference.LOCAL_FIRST: "with local backends first, then by price",
    RoutingPreference.BEST: "by the quality ratings of the catalogue",
}


def choose_plan(report: PlanReport) -> Plan:
    """Return the plan of the best candidate.

    Raises:
        MediaAgentError: there is none; of the kind that most candidates were refused for.
    """
    if report.chosen is not None and report.chosen.plan is not None:
        return report.chosen.plan
    refusals = collect_refusals(report)
    if not refusals:
        raise BackendUnavailableError("no backend found", hint="media-agent backends lists them")
    codes = Counter(each.refusals[0].code for each in report.candidates)
    code = codes.most_common(1)[0][0]
    said = [
        f"{who}: {shorten(refusal.message, _LONGEST_REASON)}"
        for refusal, who in refusals[:_REASONS_SHOWN]
    ]
    if len(refusals) > _REASONS_SHOWN:
        said.append(
            f"and more reasons ({len(refusals) - _REASONS_SHOWN}): media-agent plan lists them"
        )
    hint = next((refusal.hint for refusal, _ in refusals if refusal.code == code), None)
    raise from_info(
        ErrorInfo(
            code=code,
            message=f"no backend can serve this request: {'; '.join(said)}",
            retryable=False,
            hint=hint,
        )
    )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why models were refused, and which."""

    error: ErrorInfo
    """In words that hold for all of them, without their names."""
    names: tuple[str, ...]

    def list_names(self) -> str:
        """Return the names; of many, how many of each backend."""
        if len(self.names) <= _NAMES_SHOWN:
            return ", ".join(self.names)
        return count_by_backend(self.names)


def count_by_backend(names: Sequence[str]) -> str:
    """Return how many of some models each backend has."""
    counts = Counter(name.partition("/")[0] for name in names).most_common()
    return ", ".join(f"{count} of {backend}" for backend, count in counts)


def could_be_had(candidate: Candidate) -> bool:
    """Return whether nothing is against a model but what is missing, or but its price."""
    if len(candidate.refusals) != 1:
        return False
    code = candidate.refusals[0].code
    return code == BudgetExceededError.code or only_lacks_something(candidate)


def only_lacks_something(candidate: Candidate) -> bool:
    """Return whether nothing is against a model but that something, such as a key, is missing."""
    return candidate.missing is not None and len(candidate.refusals) == 1


def collect_reasons(report: PlanReport) -> list[Reason]:
    """Return each reason once, the most common first; those of one kind count as one."""
    found: dict[str, dict[str, ErrorInfo]] = {}
    for each in report.candidates:
        if each.refusals:
            error = _without_name(each.refusals[0], each.name)
            found.setdefault(_kind_of(error), {})[each.name] = error
    reasons = list[Reason]()
    for kind, errors in found.items():
        first = next(iter(errors.values()))
        is_one = all(error == first for error in errors.values())
        said = {} if is_one else {"message": kind, "hint": _HINTS.get(kind)}
        common = first.model_copy(update=said)
        reasons.append(Reason(common, tuple(errors)))
    return sorted(reasons, key=lambda reason: -len(reason.names))


def collect_refusals(report: PlanReport) -> list[tuple[ErrorInfo, str]]:
    """Return each reason once, the most common first, with the names it applies to."""
    return [(reason.error, _join_names(reason.names)) for reason in collect_reasons(report)]


def _without_name(error: ErrorInfo, name: str) -> ErrorInfo:
    own = re.compile(rf"(?<![\w/.-]){re.escape(name)}(?=:? )")
    about = own.match(error.message)
    words = error.message[about.end() if about else 0 :].removeprefix(":").strip()
    return error.model_copy(update={"message": own.sub("it", words)})


def _kind_of(error: ErrorInfo) -> str:
    """Return the words of a reason without what differs from model to model."""
    said = re.sub(r"(mode = \w+): it can do .*", r"\1: they do other work", error.message)
    length = r"it makes at most (\d+ frames \([\d.]+ s\)|[\d.]+ s) at once"
    said = re.sub(length, "that is more than they make at once", said)
    said = re.sub(r"would cost (at least )?[\d.]+ USD", "costs too much", said)
    return re.sub(r"^(needs a key): .*", r"\1", said)


def list_plugin_faults(report: PlanReport) -> list[str]:
    """Return the errors of plugins, each once."""
    refusals = (each for candidate in report.candidates for each in candidate.refusals)
    return [*dict.fromkeys(in_full(each) for each in refusals if each.code == PluginError.code)]


def _join_names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def make_sort_key(
    prefer: RoutingPreference, waiting_usd_per_second: float = 0.0
) -> Callable[[Candidate], tuple[object, ...]]:
    """Return the sort key: price, time or both first where that is preferred, else the method.

    As earlier outcomes let expect them, where there are any; then, what mostly fails comes last.
    """

    def key(candidate: Candidate) -> tuple[object, ...]:
        cost, seconds = candidate.estimate.cost_usd, candidate.estimate.seconds
        price = _UNKNOWN if cost is None else round(cost, _DIGITS)
        time = _UNKNOWN if seconds is None else seconds
        tier = 0 if candidate.quality is None else -candidate.quality.tier
        method = _METHOD_RANK[candidate.method]
        is_down, outlook = False, candidate.outlook if prefer in LEARNED else None
        if outlook is not None:
            price = _UNKNOWN if outlook.cost_usd is None else round(outlook.cost_usd, _DIGITS)
            time = _UNKNOWN if outlook.seconds is None else outlook.seconds
            is_down = outlook.fails > _MOST_FAIL
        preferred: tuple[float, ...]
        match prefer:
            case RoutingPreference.CHEAPEST:
                preferred = (is_down, price, method)
            case RoutingPreference.FASTEST:
                preferred = (is_down, time, method)
            case RoutingPreference.BALANCED:
                waiting = waiting_usd_per_second * time if waiting_usd_per_second else 0.0
                preferred = (is_down, price + waiting, price, method)
            case RoutingPreference.LOCAL_FIRST:
                preferred = (method, not candidate.local, price)
            case RoutingPreference.BEST:
                preferred = (method, tier)
            case _:
                assert_never(prefer)
        return (*preferred, candidate.seams, tier, price, time, candidate.name)

    return key


def reasons_of(candidate: Candidate) -> tuple[str, ...]:
    """Return the reasons for and against a candidate, its method first."""
    quality = "quality not rated" if candidate.quality is None else str(candidate.quality)
    outlook = candidate.outlook
    time = () if outlook is not None and outlook.as_others else (time_of(candidate.estimate),)
    return (
        method_of(candidate),
        "local" if candidate.local else "hosted",
        price_of(candidate.estimate),
        *time,
        quality,
        f"checked: {candidate.verification}",
        *in_words(outlook),
    )


def method_of(candidate: Candidate) -> str:
    """Return how the video reaches its length."""
    plan = candidate.plan
    length = "" if plan is None else length_of(plan)
    cuts = candidate.seams
    if plan is not None and plan.repeats:
        return "segment after segment until you finish it, with a cut between them"
    match candidate.method:
        case Method.SINGLE:
            return f"{length} in one shot"
        case Method.ENDLESS:
            return f"no length limit: {length} in one piece, no cuts"
        case Method.EXTEND:
            said = f"{_format_times(cuts)}, with {_format_cuts(cuts)}"
            return f"{length} by extending the video {said}"
        case Method.CHAIN:
            chain = f"{candidate.submissions} segments, each from the last frame before"
            return f"{length} in {chain}, with {_format_cuts(cuts)}"


def length_of(plan: Plan) -> str:
    """Return the length of the video that a plan makes."""
    frames, fps = plan.request.num_frames, plan.request.fps
    return "endless" if frames is None or fps is None else f"{round(frames / fps, 2):g} s"


def describe_changes(plan: Plan) -> Iterator[str]:
    """Yield in words what differs from what was asked, without what was merely filled in."""
    for change in plan.adjustments:
        if change.asked is not None and change.field != "model":
            yield describe_change(change)


def describe_change(change: Adjustment) -> str:
    """Return one difference, such as "n 2 -> 1 (sandbox/slate makes that many at once)"."""
    used = "nothing" if change.used is None else format_value(change.used)
    return f"{change.field} {format_value(change.asked)} -> {used} ({change.reason})"


def price_of(estimate: Estimate) -> str:
    """Return the price in words; unknown is not free."""
    cost = estimate.cost_usd
    return "price unknown" if cost is None else f"costs {format_usd(cost)} USD" if cost else "free"


def time_of(estimate: Estimate) -> str:
    """Return the time in words."""
    return "time unknown" if estimate.seconds is None else f"takes about {estimate.seconds:.0f} s"


def summary_of(
    ranked: Sequence[Candidate],
    others: Sequence[Candidate],
    refused: Sequence[Candidate],
    prefer: RoutingPreference,
    offer_of: str | None = None,
) -> str:
    """Return in a sentence or two which model was selected and why."""
    if not ranked:
        who = "no backend" if offer_of is None else f"no offer of {offer_of}"
        return f"{who} can serve this request ({len(refused) + len(others)} checked)"
    first = ranked[0]
    chosen = first.name if offer_of is None else f"{first.name}, an offer of {offer_of}"
    said = f"selected {chosen}: {'; '.join((*first.reasons[:3], *in_words(first.outlook)))}"
    more = len(ranked) - 1 + len(others)
    if more:
        several_ways = len({_METHOD_RANK[each.method] for each in (*ranked, *others)}) > 1
        before = "Ranked"
        if several_ways and prefer not in LEARNED:
            before = "Ranked by method (one piece, then extending, then chaining), then"
        said += f". {before} {_PREFERENCES[prefer]}"
        if several_ways and prefer in LEARNED:
            said += ", regardless of the number of segments"
        said += f"; {more} other{'s' if more > 1 else ''} available"
    return said


def _format_times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _format_cuts(count: int) -> str:
    return "1 cut" if count == 1 else f"{count} cuts"
