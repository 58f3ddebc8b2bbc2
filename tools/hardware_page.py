"""Writes docs/hardware.md: what each local model needs, from docs/hardware.yaml (`make snapshots`).

Only what stands between two marks is written; the words around it are a person's.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import Field, TypeAdapter

from media_agent_schemas.base import Schema

FOLDER = Path(__file__).resolve().parent.parent / "docs"
START = "<!-- from here: tools/hardware_page.py -->\n"
END = "<!-- to here -->\n"
GPUS = {"rtx_4090": "RTX 4090", "a100": "A100", "h100": "H100", "hosted": "hosted"}
_UNKNOWN = "unknown"


class Memory(Schema):
    """How much memory of a GPU a run took."""

    gb: float = Field(gt=0)
    at: str = Field(min_length=1)
    source: str = Field(min_length=1)


class Time(Schema):
    """How long a run took, in seconds, and how many seconds of video it made."""

    took: float = Field(gt=0)
    video: float = Field(gt=0)
    at: str = Field(min_length=1)
    source: str = Field(min_length=1)


class Row(Schema):
    """What is published of one model."""

    family: str
    model: str
    licence: str
    memory: Memory | None = None
    times: dict[str, Time] = Field(default_factory=dict)
    note: str | None = None


def read_rows() -> list[Row]:
    """Return what is published, in the order of the page."""
    data = yaml.safe_load((FOLDER / "hardware.yaml").read_text(encoding="utf-8"))
    return TypeAdapter(list[Row]).validate_python(data)


def hardware_page(page: str) -> str:
    """Return the page with its table current."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"docs/hardware.md lacks the marks {START!r} and {END!r}")
    return "".join((before, START, "\n".join(_list_lines(read_rows())), "\n", END, after))


def _list_lines(rows: list[Row]) -> Iterator[str]:
    heads = ["model", "licence", "memory", *GPUS.values(), "note"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        times = (_format_time(row.times.get(gpu)) for gpu in GPUS)
        cells = [row.model, row.licence, _format_memory(row.memory), *times, row.note or ""]
        yield f"| {' | '.join(cells)} |"


def _format_memory(memory: Memory | None) -> str:
    if memory is None:
        return _UNKNOWN
    return f"{memory.gb:g} GB: {memory.at} ([source]({memory.source}))"


def _format_time(time: Time | None) -> str:
    if time is None:
        return _UNKNOWN
    return f"{time.took / time.video:.3g} s: {time.at} ([source]({time.source}))"


def main() -> None:
    """Write the page."""
    path = FOLDER / "hardware.md"
    path.write_text(hardware_page(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
