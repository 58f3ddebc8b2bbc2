"""What people read: single lines on stderr, tables on stdout, never a foreign control code."""

import json
import sys
from collections.abc import Iterable, Sequence


def one_line(text: object) -> str:
    """Return the text on one line, with everything unprintable escaped."""
    joined = " ".join(str(text).split())
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in joined
    )


def say(text: str) -> None:
    """Write one line to stderr."""
    line = one_line(text)
    encoding = sys.stderr.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Write one line to stdout."""
    line = one_line(text)
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding))


def tell_json(data: object) -> None:
    """Write data to stdout as JSON, for programs."""
    print(json.dumps(data, indent=2))


def tell_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Write named facts to stdout, a line each, one below the other."""
    for name, fact in facts:
        print(f"{name:<9} ", end="")
        tell(str(fact))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write columns to stdout, each as wide as its longest cell."""
    cells = [[one_line(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for row in cells:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def shorten(text: str, length: int = 60) -> str:
    """Return the text, cut to a length."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
