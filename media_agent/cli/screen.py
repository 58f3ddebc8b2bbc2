"""What people read: single lines on stderr, tables on stdout, never a foreign control code."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO, TypeVar

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.errors import MediaAgentError
    from media_agent_schemas.errors import ErrorInfo

Answer = TypeVar("Answer")
_STDOUT, _STDERR = 1, 2
_DIGITS = 9  # of a number in JSON: a frame rate has eight
_kept: list[TextIO] = []  # stdout, while it is kept for this module
_quiet: list[bool] = []  # not empty: only errors go to stderr


def guard_stdout(run: Callable[[], Answer]) -> Answer:
    """Run a command; what plugins and libraries print meanwhile goes to stderr, in any thread.

    So does what they write without Python, or let a program write. Stdout is for programs that read
    it: it contains what is written here, and nothing else.
    """
    with _move_stdout() as stream, redirect_stdout(sys.stderr):
        _kept.append(stream)
        try:
            answer = run()
            flush()
            return answer
        finally:
            _kept.pop()


@contextmanager
def _move_stdout() -> Iterator[TextIO]:
    """Move stdout of the process to another number, and let its own be stderr meanwhile."""
    stdout = sys.stdout
    if not (_is_at(_STDOUT, stdout) and _is_at(_STDERR, sys.stderr)):  # closed, or of a caller
        yield stdout
        return
    stdout.flush()
    moved = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        with open(moved, "w", encoding=stdout.encoding, errors=stdout.errors, closefd=False) as own:
            yield own
    finally:
        with suppress(OSError):
            stdout.flush()  # what a plugin left in its buffer, to stderr too
        os.dup2(moved, _STDOUT)
        os.close(moved)


def _is_at(number: int, stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):
        return False


def flush() -> None:
    """Flush what was written to stdout so far."""
    _current_stdout().flush()


def find_binary_stdout() -> BinaryIO:
    """Return stdout for a protocol that has it for itself."""
    return _current_stdout().buffer  # a text over bytes


def _current_stdout() -> TextIO:
    return _kept[-1] if _kept else sys.stdout


def one_line(text: object) -> str:
    """Return the text on one line, with everything unprintable escaped."""
    joined = " ".join(str(text).split())
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in joined
    )


@contextmanager
def quietly(is_quiet: bool) -> Iterator[None]:
    """Write neither progress nor warnings meanwhile, only errors, if that is wanted."""
    if not is_quiet:
        yield
        return
    import logging  # only here: the help starts without it

    before = logging.root.manager.disable
    _quiet.append(True)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        _quiet.pop()


def is_quiet() -> bool:
    """Return whether only errors are written to stderr."""
    return bool(_quiet)


def write_stderr(text: str) -> None:
    """Write one line to stderr."""
    if not is_quiet():
        _write(one_line(text), sys.stderr)


def write_error(error: "MediaAgentError | ErrorInfo", *, place: str = "", kept: str = "") -> None:
    """Write one line on an error to stderr; `place` is before it, and what was kept behind it."""
    from media_agent.errors import in_full

    _write(one_line(f"error: {place}{in_full(error)}{kept}"), sys.stderr)


def write_json_error(error: "ErrorInfo") -> None:
    """Write an error to stdout for programs, as the tools of an agent give it."""
    write_json(error_as_json(error), indent=None)


def error_as_json(error: "ErrorInfo") -> "dict[str, JsonValue]":
    """Return an error as programs read it: {"error": {"code", "message", ...}}."""
    said = error.model_dump(mode="json", exclude={"schema_version"}, exclude_none=True)
    return {"error": said}


def is_terminal() -> bool:
    """Return whether a person can be asked: what is said is seen, and an answer can be typed."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def agree(question: str, *, otherwise: str) -> bool:
    """Ask a person; `otherwise` is said if the answer is not yes, such as "nothing was removed".

    Raises:
        InvalidRequestError: there is nobody to ask.
    """
    from media_agent.errors import InvalidRequestError

    if not is_terminal():
        raise InvalidRequestError(f"{otherwise}: this is no terminal", hint="add --yes")
    ask(f"{question} [y/N]")
    agreed = read_yes()
    if not agreed:
        write_stderr(otherwise)
    return agreed


def read_yes() -> bool:
    """Read a line that was typed, and return whether it is yes."""
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def ask(question: str) -> None:
    """Write a question to stderr; the answer is typed behind it."""
    print(one_line(question), end=" ", file=sys.stderr, flush=True)


def write_stdout(text: str) -> None:
    """Write one line to stdout."""
    write_raw_line(one_line(text))


def write_raw_line(line: str) -> None:
    """Write a line to stdout with its spaces as they are."""
    _write(line, _current_stdout())


def write_json(data: object, *, indent: int | None = 2) -> None:
    """Write data, or what has a `model_dump`, to stdout as JSON, for programs."""
    dump = getattr(data, "model_dump", None)
    said = json.dumps(_round_numbers(data if dump is None else dump(mode="json")), indent=indent)
    print(said, file=_current_stdout())


def _round_numbers(data: object, name: str = "") -> object:
    """Return data whose numbers have no more digits than mean something."""
    from media_agent_schemas.base import round_usd  # only here: the help starts without it

    match data:
        case dict():
            return {key: _round_numbers(value, str(key)) for key, value in data.items()}
        case list() | tuple():
            return [_round_numbers(each, name) for each in data]
        case float():
            return round_usd(data) if "usd" in name else float(f"{data:.{_DIGITS}g}")
    return data


def write_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Write named facts to stdout, a line each, one below the other."""
    for name, fact in facts:
        write_raw_line(f"{name:<9} {one_line(fact)}")


def write_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    titles: Mapping[int, str] | None = None,
) -> None:
    """Write columns to stdout, each as wide as its longest cell; `titles` go before rows."""
    cells = [[one_line(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for number, row in enumerate(cells, -1):
        if titles is not None and number in titles:
            write_raw_line(one_line(titles[number]))
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        write_raw_line("  ".join(padded).rstrip())


def format_size(size: int) -> str:
    """Return a size in the unit that people read it in."""
    if size < 1000:
        return f"{size} B"
    value, units = size / 1000, ["kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}"


def _write(line: str, stream: TextIO) -> None:
    encoding = stream.encoding or "utf-8"
    said = line.encode(encoding, "backslashreplace").decode(encoding)
    print(said, file=stream, flush=stream is sys.stderr)
