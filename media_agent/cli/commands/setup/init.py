"""The command that writes the first settings file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import write_facts, write_stdout

if TYPE_CHECKING:
    from media_agent.config.settings import Settings
    from media_agent.setup.machine import Machine


def init(*, user: Flag = False, force: Flag = False) -> int:
    """Detect keys, GPUs and models, write media-agent.toml, and suggest the next command.

    Args:
        user: Write your user-wide settings file instead of ./media-agent.toml.
        force: Overwrite an existing file.
    """
    from media_agent.config.file import PROJECT_FILE, find_user_file
    from media_agent.distribution import install_hint
    from media_agent.errors import InvalidRequestError
    from media_agent.negotiation.smallest import PROMPT
    from media_agent.registry.registry import Registry
    from media_agent.setup.check import check
    from media_agent.setup.machine import look
    from media_agent.setup.starter_config import render_starter_config
    from media_agent.storage.files import storage_errors, write_atomically

    place = find_user_file() if user else Path.cwd() / PROJECT_FILE
    if place.exists() and not force:
        raise InvalidRequestError(
            f"{place} exists",
            hint="inspect it with media-agent config show, or replace it with --force",
        )
    settings = _load_settings()
    machine = look(settings, Registry())
    with storage_errors(str(place)):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, render_starter_config(machine).encode())
    write_facts(_list_found(machine))
    for problem in machine.problems:
        write_stdout(f"problem: {problem}")
    for finding in check(place).findings:
        write_stdout(finding.text)
    write_stdout(f"wrote {place}")
    if settings.config is not None:
        write_stdout(f"warning: MEDIA_AGENT_CONFIG names {settings.config}, which is used instead")
    if not machine.models:
        write_stdout(
            f"first: this machine has no model that generates videos; {install_hint('local')}"
        )
    write_stdout(f'next: media-agent generate "{PROMPT}"')
    return 0


def _load_settings() -> "Settings":
    """Return the settings, without files if one of them is faulty: it may be the one replaced."""
    from media_agent.config.settings import load_settings
    from media_agent.errors import ConfigurationError

    try:
        return load_settings()
    except ConfigurationError:
        return load_settings(config=os.devnull)


def _list_found(machine: "Machine") -> Iterator[tuple[str, str]]:
    """Yield what was found; of keys only where they are."""
    yield from (("key", f"{name}: {source}") for name, source in machine.keys.items())
    yield from (("gpu", gpu) for gpu in machine.gpus)
    yield from (("model", model) for model in machine.models)
    yield from (("files", str(folder)) for folder in machine.folders)
    if machine.comfyui is not None:
        yield "server", f"ComfyUI at {machine.comfyui}"
