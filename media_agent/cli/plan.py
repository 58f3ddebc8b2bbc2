"""The command that plans: who could make a video, for how much, and who would."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.routing import NO_FLAGS, RoutingFlags

if TYPE_CHECKING:
    from media_agent.cli.making import Wishes
    from media_agent_schemas.plan import Candidate, PlanReport

_Texts = Annotated[list[str] | None, Parameter(negative=(), allow_leading_hyphen=True)]
_Number = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
_Flag = Annotated[bool, Parameter(negative=())]

_NAMES_SHOWN = 3


def plan(
    prompt: str,
    /,
    *,
    shot: _Texts = None,
    backend: str | None = None,
    duration: _Number = None,
    endless: _Flag = False,
    seed: _Number = None,
    size: str | None = None,
    fps: _Number = None,
    image: Path | None = None,
    policy: Literal["strict", "adjust"] | None = None,
    routing: RoutingFlags = NO_FLAGS,
    option: _Texts = None,
    allow_unknown_words: _Flag = False,
    json: _Flag = False,
) -> int:
    """Say who would make a video and why, and who could not; nothing is started or spent.

    Args:
        prompt: What the video shows; of a storyboard, the first shot.
        shot: TEXT@SECONDS, a further shot; may be repeated. The prompt gets what they leave.
        backend: Only this one, NAME or NAME/MODEL; absent: all are compared.
        duration: Length of the whole video in seconds.
        endless: Go on until told to finish.
        seed: 0 to 2^63-1; absent: drawn.
        size: WIDTHxHEIGHT in pixels.
        fps: Frames per second.
        image: A picture to begin from.
        policy: adjust: use the nearest value a backend can do, and say so; strict: refuse.
            Absent: as the settings say, else adjust.
        routing: Who may make it, and for how much.
        option: NAME=VALUE, an option of the backend named; may be repeated.
        allow_unknown_words: Go on with words that the model named has never learnt.
        json: Print the report as JSON on stdout, and nothing else.
    """
    import asyncio

    from media_agent.cli.arguments import number, whole_number
    from media_agent.cli.making import Wishes
    from media_agent_schemas.capabilities import Policy

    wishes = Wishes(
        prompt=prompt,
        shots=tuple(shot or ()),
        backend=backend,
        duration=number("duration", duration),
        endless=endless,
        seed=whole_number("seed", seed),
        size=size,
        fps=number("fps", fps),
        image=image,
        policy=None if policy is None else Policy(policy),
        routing=routing,
        options=tuple(option or ()),
        allow_unknown_words=allow_unknown_words,
    )
    report = asyncio.run(_report(wishes))
    if json:
        print(report.model_dump_json(indent=2))
    else:
        _show(report)
    return 0 if report.chosen is not None else _exit_code(report)


async def _report(wishes: "Wishes") -> "PlanReport":
    from media_agent.cli.making import request_of
    from media_agent.client import VideoClient

    async with VideoClient() as client:
        request = await request_of(client, wishes, wishes.backend)
        words = wishes.allow_unknown_words
        return await client.plan_all(request, policy=wishes.policy, allow_unknown_words=words)


def _show(report: "PlanReport") -> None:
    from media_agent.cli.making import announce
    from media_agent.cli.screen import shorten, table, tell

    tell(report.summary)
    if report.ranked:
        heads = ("", "BACKEND/MODEL", "HOW", "SEAMS", "USD", "SECONDS", "QUALITY", "CHECKED")
        table(heads, [_row(each) for each in report.ranked])
    for reason, names in _refused(report).items():
        more = "" if len(names) <= _NAMES_SHOWN else f" and {len(names) - _NAMES_SHOWN} more"
        tell(f"not {', '.join(names[:_NAMES_SHOWN])}{more}: {shorten(reason, 300)}")
    if report.chosen is not None and report.chosen.plan is not None:
        announce(report.chosen.plan)


def _refused(report: "PlanReport") -> dict[str, list[str]]:
    """Return the names of those that could not, by the reason in words."""
    reasons: dict[str, list[str]] = {}
    for each in report.candidates:
        if each.refusals:
            refusal = each.refusals[0]
            hint = "" if refusal.hint is None else f" ({refusal.hint})"
            reason = f"{refusal.message.removeprefix(each.name).strip()}{hint}"
            reasons.setdefault(reason, []).append(each.name)
    return reasons


def _row(candidate: "Candidate") -> tuple[str, ...]:
    cost, seconds = candidate.estimate.cost_usd, candidate.estimate.seconds
    pieces = "" if candidate.submissions == 1 else f" x {candidate.submissions}"
    quality = candidate.quality
    return (
        str(candidate.rank),
        candidate.name,
        f"{candidate.method}{pieces}",
        str(candidate.seams),
        "?" if cost is None else f"{cost:.2f}",
        "?" if seconds is None else f"{seconds:.0f}",
        "?" if quality is None else f"{quality.tier}/5",
        str(candidate.verification),
    )


def _exit_code(report: "PlanReport") -> int:
    from media_agent.errors import MediaAgentError, exit_code
    from media_agent.reasons import chosen

    try:
        chosen(report)
    except MediaAgentError as error:
        return exit_code(error)
    return 0
