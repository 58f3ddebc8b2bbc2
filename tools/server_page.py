"""Writes the routes into docs/reference/server.md as the server describes them (`make snapshots`).

Only what stands between two marks is written; the words around it are a person's.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "server.md"
START = "<!-- from here: tools/server_page.py -->\n"
END = "<!-- to here -->\n"


def server_page(page: str) -> str:
    """Return the page with its table of routes current."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"{PAGE.name} lacks the marks {START!r} and {END!r}")
    return "".join((before, START, "\n".join(_table()), "\n", END, after))


def _table() -> Iterator[str]:
    from media_agent.config.settings import Settings
    from media_agent.server.app import build_app

    document = build_app(Settings.model_construct()).openapi()
    yield "| call | what it does | parameters |"
    yield "| --- | --- | --- |"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            said = operation["description"].partition("\n")[0].replace("|", "\\|")
            yield f"| `{method.upper()} {path}` | {said} | {', '.join(_parameters(operation))} |"


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for each in operation.get("parameters", ()):
        if each["in"] != "path":
            yield f"`{each['name']}`"
    if "requestBody" in operation:
        yield "body"


def main() -> None:
    """Write the page."""
    PAGE.write_text(server_page(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
