"""The command that lists what was used, for those who bill others."""

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag
from media_agent.cli.commands.jobs.costs import as_text
from media_agent.cli.screen import write_json, write_raw_line

if TYPE_CHECKING:
    from datetime import datetime


def usage(
    *,
    since: Annotated[str, Parameter(name="--from")],
    until: Annotated[str | None, Parameter(name="--to")] = None,
    json: Flag = False,
) -> int:
    """List what was used as CSV, by caller, label and model: jobs, seconds, cost and resale price.

    Days are those of UTC. What is under way, or of unknown outcome, is held, not spent: it stands
    under held_usd and is in no cost. The resale price is the cost of each job by the factor of the
    key it was asked with.

    Args:
        since: The first day, such as 2026-11-01.
        until: The day after the last one, such as 2026-12-01; default: up to now.
        json: Print JSON: {"from", "to", "data": [row, ...]}.
    """
    from datetime import UTC, datetime

    from media_agent.cli.store import open_ledger
    from media_agent.errors import InvalidRequestError
    from media_agent.ledger.usage import UsageRow, read_usage

    begin = _read_day("from", since)
    end = datetime.now(UTC) if until is None else _read_day("to", until)
    if begin >= end:
        last = "now" if until is None else f"--to {until}"
        raise InvalidRequestError(f"--from {since} is no day before {last}")
    rows = [asdict(row) for row in read_usage(open_ledger().database, begin, end)]
    if json:
        write_json({"from": begin.isoformat(), "to": end.isoformat(), "data": rows})
        return 0
    for values in (UsageRow.__dataclass_fields__, *(map(_as_cell, row.values()) for row in rows)):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(values)
        write_raw_line(line.getvalue())
    return 0


def _as_cell(value: object) -> object:
    return as_text(value) if isinstance(value, str) else value


def _read_day(name: str, text: str) -> "datetime":
    from datetime import UTC, datetime

    from media_agent.errors import InvalidRequestError

    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequestError(
            f"--{name} {text!r} is no day", hint="write it like 2026-11-01"
        ) from None
