"""The command that plans: which backends could make a video, for how much, and which would."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag, Text
from media_agent.cli.request.flags import DEFAULT_ROUTING, DEFAULT_VIDEO, RoutingFlags, VideoFlags
from media_agent.cli.screen import write_json

_HEADS = ("", "BACKEND/MODEL", "HOW", "CUTS", "USD", "SECONDS", "QUALITY", "CHECKED")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from media_agent_schemas.plan import Candidate, PlanReport


def plan(
    prompt: Text = None,
    /,
    *,
    video: VideoFlags = DEFAULT_VIDEO,
    routing: RoutingFlags = DEFAULT_ROUTING,
    json: Flag = False,
    all_candidates: Annotated[Flag, Parameter(name="--all")] = False,
) -> int:
    """Compare the backends for a video, and explain the choice; nothing is started or spent.

    Args:
        prompt: What the video shows, TEXT or TEXT@SECONDS; in a storyboard, the first shot.
        video: How the video looks.
        routing: Which backends to compare, and the maximum cost. Default: all of them.
        json: Print JSON: {"chosen": ..., "data": [candidate, ...]}, the candidates in short.
        all_candidates: With --json: all candidates, each with its whole plan.
    """
    import asyncio

    from media_agent.cli.plan_json import dump_plan, find_refusal, shorten_plan
    from media_agent.errors import exit_code

    report = asyncio.run(_build_report(prompt, video, routing))
    if json:
        write_json(dump_plan(report) if all_candidates else shorten_plan(report))
    else:
        _show(report)
    refusal = find_refusal(report)
    return 0 if refusal is None else exit_code(refusal)


async def _build_report(
    prompt: str | None, video: VideoFlags, routing: RoutingFlags
) -> "PlanReport":
    from media_agent.cli.request.build import build_request
    from media_agent.client import VideoClient

    async with VideoClient() as client:
        request = await build_request(client, prompt, video, routing)
        words = video.allow_unknown_words
        policy = routing.read_policy()
        return await client.plan_all(request, policy=policy, allow_unknown_words=words)


def _show(report: "PlanReport") -> None:
    from media_agent.cli.run_job import announce
    from media_agent.cli.screen import write_stdout, write_table
    from media_agent.errors import in_full
    from media_agent.routing.explain import collect_refusals
    from media_agent.shorten import shorten

    write_stdout(report.summary)
    if report.ranked:
        write_table(_HEADS, [_format_row(each) for each in report.ranked])
    for title, refused in _list_priced_refusals(report):
        write_stdout(title)
        write_table(_HEADS, [_format_row(each) for each in refused])
    for refusal, who in collect_refusals(report):
        write_stdout(f"not {who}: {shorten(in_full(refusal), 300)}")
    if report.chosen is not None and report.chosen.plan is not None:
        announce(report.chosen.plan)


def _list_priced_refusals(report: "PlanReport") -> "Iterator[tuple[str, list[Candidate]]]":
    """Yield, under a title each, the refused candidates that would cost something."""
    priced = [each for each in report.candidates if each.refusals and each.estimate.cost_usd]
    lacking = [each for each in priced if each.missing is not None and len(each.refusals) == 1]
    others = [each for each in priced if each not in lacking]
    if lacking:
        yield "with a key it would cost:", lacking
    if others:
        yield "refused, at these prices:", others


def _format_row(candidate: "Candidate") -> tuple[str, ...]:
    from media_agent_schemas.base import format_usd

    cost, seconds = candidate.estimate.cost_usd, candidate.estimate.seconds
    pieces = "" if candidate.submissions == 1 else f" x {candidate.submissions}"
    quality = candidate.quality
    return (
        "-" if candidate.rank is None else str(candidate.rank),
        candidate.name,
        f"{candidate.method}{pieces}",
        str(candidate.seams),
        "?" if cost is None else format_usd(cost),
        "?" if seconds is None else f"{seconds:.0f}",
        "?" if quality is None else f"{quality.tier}/5",
        str(candidate.verification),
    )
