"""The commands about the settings: check them, show them."""

from collections.abc import Iterator, Mapping
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import write_json, write_stdout

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.config.settings import Settings


def build_config_app() -> App:
    """Return the commands about the settings."""
    app = App(name="config", help="Check the settings, or show each with its origin.")
    app.command(check_settings, name="check")
    app.command(show_settings, name="show")
    return app


def check_settings(file: Path | None = None, /, *, json: Flag = False) -> int:
    """List every error in the settings with its file and line.

    Args:
        file: Check this file instead of the usual ones.
        json: Print JSON: {"data": [{"level", "file", "line", "variable", "key", "message"}, ...]}.
    """
    from media_agent.error_codes import exit_code
    from media_agent.errors import ConfigurationError
    from media_agent.setup.check import check

    report = check(file)
    faults = [finding.text for finding in report.findings if finding.is_fault]
    warnings = [finding.text for finding in report.findings if not finding.is_fault]
    code = 0 if report.is_sound else exit_code(ConfigurationError("faults"))
    files = [str(path) for path in report.files]
    if json:
        write_json({"data": [finding.as_json() for finding in report.findings], "files": files})
        return code
    for text in faults:
        write_stdout(text)
    for text in warnings:
        write_stdout(f"warning: {text}")
    if report.is_sound:
        write_stdout(
            f"no errors in {', '.join(files)}" if files else "no settings file; defaults apply"
        )
    return code


def show_settings(*, json: Flag = False) -> int:
    """Show the effective settings and where each comes from; keys are hidden.

    Args:
        json: Print JSON: {"NAME": {"value": ..., "from": ...}}.
    """
    from media_agent.concealing import HIDDEN, without_keys
    from media_agent.config.settings import load_settings, look_at_sources

    settings = load_settings()
    sources = look_at_sources()
    data: dict[str, dict[str, JsonValue]] = {
        without_keys(".".join(place)): {"value": value, "from": sources.place(place)}
        for place, value in _leaves(settings.shown())
    }
    data |= {
        f"backends.{name}.key": {"value": HIDDEN, "from": source}
        for name, source in _list_usual_keys(settings)
    }
    if json:
        write_json(data)
        return 0
    for name, said in data.items():
        write_stdout(f"{name} = {dumps(said['value'])}  ({said['from']})")
    return 0


def _list_usual_keys(settings: "Settings") -> "Iterator[tuple[str, str]]":
    """Yield each backend that has a key which the settings do not name, and where it is from."""
    from media_agent.registry.registry import Registry

    registry = Registry(kinds=settings.kinds())
    for name in registry.names():
        found = settings.find_key(name, registry.spec(name))
        if found.is_usual and found.source is not None:
            yield name, found.source


def _leaves(
    data: "Mapping[str, JsonValue]", at: tuple[str, ...] = ()
) -> "Iterator[tuple[tuple[str, ...], JsonValue]]":
    """Yield every setting that has a value, with its place."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*at, name))
        elif value is not None and value != []:
            yield (*at, name), value
