"""The command that adds up what was spent."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import write_json, write_raw_line, write_stdout, write_table

if TYPE_CHECKING:
    from media_agent.ledger.costs import CostRow

_COLUMNS = ("jobs", "usd", "billed_usd", "quoted_usd", "unknown", "old_prices", "held_usd")
_FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # wide ones count, too


def costs(
    *,
    since: str = "30d",
    by: Literal["day", "backend", "model", "label"] = "day",
    layout: Annotated[Literal["table", "csv"], Parameter(name="--format")] = "table",
    json: Flag = False,
) -> int:
    """Add up what the jobs of this data folder cost: as billed, or as quoted without a bill.

    What is under way, or of unknown outcome, is not spent but held; it counts here at its quote.

    Args:
        since: A span such as 7d, 24h or 2w, or a date such as 2026-06-01.
        by: What to add up by.
        layout: A table for people, or CSV.
        json: Print JSON: {"data": [row, ...], "total": row}.
    """
    from datetime import UTC, datetime

    from media_agent.cli.arguments import read_since
    from media_agent.cli.store import open_ledger
    from media_agent.ledger.usage import read_usage

    now = datetime.now(UTC)
    start = read_since("since", since, now)
    ledger = open_ledger()
    rows, total = ledger.costs.since(start, by), ledger.costs.total(start)
    if json:
        data = {"since": start.isoformat(), "data": [_as_json(by, row) for row in rows]}
        write_json(data | {"total": _as_json(None, total)})
    elif layout == "csv":
        for line in _as_csv(by, rows):
            write_raw_line(line)
    else:
        spent = sum(row.cost_usd for row in read_usage(ledger.database, start, now))
        _show(by, rows, total, spent)
    return 0


def _as_json(by: str | None, row: "CostRow") -> dict[str, str | float | None]:
    name = {} if by is None else {by: row.name or None}
    return name | {column: getattr(row, column) for column in _COLUMNS}


def _as_csv(by: str, rows: "Sequence[CostRow]") -> Iterator[str]:
    import csv
    import io

    for values in ((by, *_COLUMNS), *((as_text(row.name), *_values(row)) for row in rows)):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(values)
        yield line.getvalue()


def as_text(name: str) -> str:
    """Return a name that a spreadsheet takes for text: a label may begin as a formula does."""
    return f"'{name}" if name.startswith(_FORMULA_SIGNS) else name


def _values(row: "CostRow") -> tuple[float, ...]:
    return tuple(getattr(row, column) for column in _COLUMNS)


def _show(by: str, rows: "Sequence[CostRow]", total: "CostRow", spent: float) -> None:
    if not rows:
        write_stdout("no jobs in this time")
        return
    from media_agent_schemas.base import format_usd
    from media_agent_schemas.estimate import PRICE_DAYS

    usd = "SPENT OR HELD" if total.held_usd else "USD"
    heads = (by.upper(), "JOBS", usd, "BILLED", "QUOTED", "PRICE UNKNOWN")
    write_table(heads, [_format(row) for row in (*rows, total)])
    if total.quoted_usd:
        write_stdout("quoted: the price that was planned; no bill was reported")
    if total.held_usd:
        held = format_usd(total.held_usd)
        write_stdout(
            f"{format_usd(spent)} USD are spent, {held} USD are held for what is under way or of "
            "unknown outcome, which the table has at its quote"
        )
    if total.old_prices:
        write_stdout(
            f"{total.old_prices} submissions were quoted by a price more than {PRICE_DAYS} days "
            "old (*): look at the bills"
        )
    if sum(row.jobs for row in rows) > total.jobs:
        write_stdout(
            f"a video in segments is a job of each {by} that has one; the total has it once"
        )


def _format(row: "CostRow") -> tuple[str, ...]:
    from media_agent_schemas.base import format_usd

    usd, billed, quoted = map(format_usd, (row.usd, row.billed_usd, row.quoted_usd))
    quoted += "*" if row.old_prices else ""
    unknown = str(row.unknown) if row.unknown else "-"
    return (row.name or "(no label)", str(row.jobs), usd, billed, quoted, unknown)
