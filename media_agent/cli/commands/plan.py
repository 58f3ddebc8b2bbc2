"""The command that plans: which backends could make a video, for how much, and which would."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag, Name, Text
from media_agent.cli.request.flags import DEFAULT_ROUTING, DEFAULT_VIDEO, RoutingFlags, VideoFlags
from media_agent.cli.screen import write_json

_BEST = 5
_NAMED = 3  # models of one reason that are named; of more it is said how many each backend has
_HEADS = ("", "BACKEND/MODEL", "HOW", "CUTS", "USD", "SECONDS", "QUALITY", "CHECKED")

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from media_agent.routing.listing import Listed
    from media_agent_schemas.plan import Candidate, PlanReport


def plan(
    prompt: Text = None,
    /,
    *,
    video: VideoFlags = DEFAULT_VIDEO,
    routing: RoutingFlags = DEFAULT_ROUTING,
    json: Flag = False,
    device_memory: Name = None,
    all_candidates: Annotated[Flag, Parameter(name="--all")] = False,
) -> int:
    """Compare the backends for a video, and explain the choice; nothing is started or spent.

    Args:
        prompt: What the video shows, TEXT or TEXT@SECONDS; in a storyboard, the first shot.
        video: How the video looks.
        routing: Which backends to compare, and the maximum cost. Default: all of them.
        device_memory: Plan for a GPU of so much memory, such as 24GiB, instead of what is here.
        json: Print JSON: {"chosen": ..., "data": [candidate, ...]}, the candidates in short.
        all_candidates: List every model that could; with --json, each with its whole plan.
    """
    import asyncio

    from media_agent.cli.plan_json import dump_plan, find_refusal, shorten_plan
    from media_agent.error_codes import exit_code

    best = None if all_candidates else _BEST
    report = asyncio.run(_build_report(prompt, video, routing, best, device_memory))
    if json:
        write_json(dump_plan(report) if all_candidates else shorten_plan(report))
    else:
        _show(report, best)
    refusal = find_refusal(report)
    return 0 if refusal is None else exit_code(refusal)


async def _build_report(
    prompt: str | None,
    video: VideoFlags,
    routing: RoutingFlags,
    best: int | None,
    device_memory: str | None,
) -> "PlanReport":
    from media_agent.backend.free_memory import FreeMemory, SupposedMemory
    from media_agent.cli.request.build import build_request
    from media_agent.client import VideoClient

    free = FreeMemory() if device_memory is None else SupposedMemory(_read_bytes(device_memory))
    async with VideoClient(free_memory=free) as client:
        request = await build_request(client, prompt, video, routing)
        words = video.allow_unknown_words
        policy = routing.read_policy()
        return await client.plan_all(request, best=best, policy=policy, allow_unknown_words=words)


def _read_bytes(said: str) -> int:
    """Return the bytes of an amount of memory, such as 24GiB or 24GB.

    Raises:
        InvalidRequestError: it is none.
    """
    import re

    from media_agent.errors import InvalidRequestError

    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *(GiB|GB|MiB|MB)", said.strip(), re.IGNORECASE)
    if found is None:
        raise InvalidRequestError(f"--device-memory {said!r} is no amount", hint="such as 24GiB")
    units = {"gib": 2**30, "gb": 10**9, "mib": 2**20, "mb": 10**6}
    return round(float(found[1]) * units[found[2].lower()])


def _show(report: "PlanReport", best: int | None) -> None:
    from media_agent.cli.run_job import announce
    from media_agent.cli.screen import write_stdout, write_table
    from media_agent.errors import in_full

    write_stdout(report.summary)
    shown = []
    for title, candidates in _list_tables(report, best):
        if title:
            write_stdout(title)
        write_table(_HEADS, [_format_row(each) for each in candidates])
        shown += candidates
    for line in (*_list_left_out(report, shown), *_list_reasons(report)):
        write_stdout(line)
    for refusal in report.candidates[0].refusals[1:] if len(report.candidates) == 1 else ():
        write_stdout(f"and: {in_full(refusal)}")
    for each in report.candidates:
        use = None if each.plan is None or not each.refusals else each.plan.estimate.memory
        if use is not None:
            write_stdout(f"{each.name} would be held on {use.where}, {use}")
    if any(map(has_old_price, shown)):
        write_stdout(f"* {old_price_note()}")
    if any(each.estimate.seconds is None and _learned_seconds(each) is not None for each in shown):
        write_stdout("~ as long as earlier jobs took; the model itself says nothing")
    if report.chosen is not None and report.chosen.plan is not None:
        announce(report.chosen.plan)
        if report.chosen.licence is not None:
            write_stdout(f"licence of {report.chosen.name}: {report.chosen.licence}")


def has_old_price(priced: "Candidate | Listed") -> bool:
    """Return whether the price of a model is to be marked as old today (UTC)."""
    from datetime import UTC, datetime

    return priced.estimate.has_old_price(datetime.now(UTC).date())


def old_price_note() -> str:
    """Return what is said of the prices that are marked as old."""
    from media_agent_schemas.estimate import PRICE_DAYS

    return f"read more than {PRICE_DAYS} days ago; media-agent catalogue update reads newer ones"


def _list_tables(report: "PlanReport", best: int | None) -> "Iterator[tuple[str, list[Candidate]]]":
    """Yield the candidates that are shown, under a title where they need one."""
    from media_agent.routing.explain import only_lacks_something

    ranked = list(report.ranked)
    first = ranked if best is None else ranked[:best]
    if first:
        yield "", first
    seen = {each.backend for each in first}
    others = {each.backend: each for each in reversed(ranked[len(first) :])}
    others = {backend: each for backend, each in others.items() if backend not in seen}
    if others:
        yield "the best of each other backend:", sorted(others.values(), key=_rank_of)
    priced = [each for each in report.candidates if each.refusals and each.estimate.cost_usd]
    planned = [each for each in priced if each.plan is not None]
    lacking = [each for each in planned if only_lacks_something(each)]
    refused = [each for each in planned if each not in lacking]
    if lacking and (best is None or not first):
        yield "with a key it would cost:", lacking[: best or len(lacking)]
    if refused:
        yield "refused, at these prices:", refused[: best or len(refused)]


def _list_left_out(report: "PlanReport", shown: "Sequence[Candidate]") -> "Iterator[str]":
    """Yield how many more could, and the least that they cost."""
    from media_agent.routing.explain import count_by_backend
    from media_agent_schemas.base import format_usd

    seen = {each.name for each in shown}
    more = [each for each in report.candidates if not each.refusals and each.name not in seen]
    if more:
        costs = [(each.estimate.cost_usd, each.local) for each in more]
        known = [cost for cost, is_local in costs if cost is not None and (cost or is_local)]
        price = f", for {format_usd(min(known))} USD and more" if known else ""
        names = count_by_backend([each.name for each in more])
        yield f"{len(more)} more could{price}: {names}; --all lists them"


def _list_reasons(report: "PlanReport") -> "Iterator[str]":
    """Yield why the rest is out, a line for each reason, with how many it is about."""
    from media_agent.errors import in_full
    from media_agent.routing.explain import collect_reasons
    from media_agent.shorten import shorten

    for reason in collect_reasons(report):
        many = len(reason.names)
        who = reason.list_names()
        said = shorten(in_full(reason.error), 360)
        yield f"not {who}: {said}" if many <= _NAMED else f"not {many} models ({who}): {said}"


def _learned_seconds(candidate: "Candidate") -> float | None:
    """Return how long it takes as earlier outcomes let expect, else as the middle one of them."""
    outlook = candidate.outlook
    if outlook is None or not outlook.outcomes:
        return None
    if outlook.seconds is not None:
        return outlook.seconds
    return outlook.median_seconds if candidate.submissions == 1 else None


def _rank_of(candidate: "Candidate") -> int:
    return candidate.rank or 0


def _format_row(candidate: "Candidate") -> tuple[str, ...]:
    from media_agent_schemas.base import format_usd

    cost, seconds = candidate.estimate.cost_usd, candidate.estimate.seconds
    is_declared = seconds is not None
    seconds = _learned_seconds(candidate) if seconds is None else seconds
    pieces = "" if candidate.submissions == 1 else f" x {candidate.submissions}"
    quality = candidate.quality
    return (
        "-" if candidate.rank is None else str(candidate.rank),
        candidate.name,
        f"{candidate.method}{pieces}",
        str(candidate.seams),
        "?" if cost is None else format_usd(cost) + ("*" if has_old_price(candidate) else ""),
        "?" if seconds is None else f"{seconds:.0f}" if is_declared else f"~{seconds:.0f}",
        "?" if quality is None else f"{quality.tier}/5",
        str(candidate.verification),
    )
