"""The command that shows how submissions ended."""

from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag, OptionalFile
from media_agent.cli.screen import write_json, write_stdout, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from media_agent.routing.learning.report import OfferRow, OutcomeReport

_HEADS = (
    "MODEL",
    "ENDED",
    "DONE",
    "REJECTED",
    "MEDIAN",
    "P90",
    "PER S",
    "QUEUE",
    "USD/VIDEO",
    "DAYS",
)
_BARS = "▁▂▃▄▅▆▇█"


def stats(*, since: str = "7d", plot: OptionalFile = None, json: Flag = False) -> int:
    """Show how the submissions of this data folder ended: what was done, how fast, for how much.

    Times are in seconds, from the submission to the finished file. DAYS has the median of each day.

    Args:
        since: A span such as 7d, 24h or 2w, or a date such as 2026-06-01.
        plot: Draw the days of each model into this file, .svg or .png (extra `local`).
        json: Print JSON: {"data": [model, ...], "factors": [factor, ...]}.
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from media_agent.cli.arguments import read_since
    from media_agent.cli.stats_chart import check_place, write_chart
    from media_agent.cli.store import open_ledger
    from media_agent.routing.learning.report import build_report

    start = read_since("since", since, datetime.now(UTC))
    if plot is not None:
        check_place(plot)
    found = open_ledger().outcomes.read(since=start.timestamp())
    report = build_report([outcome for _, outcome in found])
    if plot is not None:
        write_chart(report, plot)
    if json:
        offers, factors = map(asdict, report.offers), map(asdict, report.factors)
        data = {"since": start.isoformat(), "outcomes": report.outcomes}
        write_json(data | {"data": [*offers], "factors": [*factors]})
    else:
        _show(report)
    return 0


def _show(report: "OutcomeReport") -> None:
    if not report.outcomes:
        write_stdout("nothing ended in this time")
        return
    write_table(_HEADS, [_format(row) for row in report.offers])
    telling = [each for each in report.factors if each.latency_bits or each.failure_bits]
    if not telling:
        write_stdout("no factor is known to make a difference yet")
        return
    write_stdout("what makes a difference, in bits:")
    rows = [(each.name, f"{each.latency_bits:.3f}", f"{each.failure_bits:.3f}") for each in telling]
    write_table(("FACTOR", "LATENCY", "FAILURE"), rows)


def _format(row: "OfferRow") -> tuple[str, ...]:
    from media_agent_schemas.base import format_usd

    return (
        row.name,
        str(row.outcomes),
        f"{100 * row.done:.0f} %",
        f"{100 * row.moderated:.0f} %" if row.moderated else "-",
        *map(_seconds, (row.median_seconds, row.p90_seconds, row.seconds_per_second)),
        _seconds(row.median_queue_seconds),
        "?" if row.usd_per_video is None else format_usd(row.usd_per_video),
        _draw_bars([day.median_seconds for day in row.days]),
    )


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.3g}"


def _draw_bars(values: "Sequence[float | None]") -> str:
    """Return a bar for each value, the highest for the largest; a dot for none."""
    most = max((each for each in values if each is not None), default=0.0) or 1.0
    return "".join(
        "·" if each is None else _BARS[round(each / most * (len(_BARS) - 1))] for each in values
    )
