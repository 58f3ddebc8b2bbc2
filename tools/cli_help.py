"""Writes docs/reference/cli-help.txt: what every command says of itself (`make snapshots`)."""

import io
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App
from rich.console import Console

from media_agent.cli.app import build_app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli-help.txt"
WIDTH = 100


def help_page() -> str:
    """Return the help of all commands, in the width of the page."""
    app = build_app()
    return "\n".join(_help(app, command) for command in _commands(app))


def _commands(app: App, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name in sorted(app):
        if not name.startswith("-"):
            yield from _commands(app[name], *above, name)


def _help(app: App, command: tuple[str, ...]) -> str:
    text = io.StringIO()
    console = Console(file=text, width=WIDTH, color_system=None, legacy_windows=False)
    app.help_print(list(command), console=console)
    lines = [line.rstrip() for line in text.getvalue().strip().splitlines()]
    return "\n".join([f"$ {' '.join(['media-agent', *command])} --help", "", *lines, ""])


if __name__ == "__main__":
    PAGE.write_text(help_page(), encoding="utf-8")
