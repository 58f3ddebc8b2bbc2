"""The settings file that a person starts with: what was found, in working TOML with comments."""

import json
from collections.abc import Iterator

from media_agent.setup.machine import Machine

_FALLBACK = "sandbox"
_FIRST = "magi/tiny"


def render_starter_config(machine: Machine) -> str:
    """Return the text of a media-agent.toml for this machine; it names keys and holds none."""
    parts = [
        _render_head(machine),
        *_render_backends(machine),
        *_render_routes(machine),
        _render_budget(machine),
    ]
    return "\n".join(parts)


def choose_default_model(machine: Machine) -> str:
    """Return the default model: one that runs on this machine, free of charge."""
    others = [name for name in machine.models if name.split("/")[0] not in ("magi", _FALLBACK)]
    if others and machine.gpus:
        return others[0]
    return _FIRST if _FIRST in machine.models else _FALLBACK


def _render_head(machine: Machine) -> str:
    return f"""\
# Settings of media-agent for this folder and those below it.
# `media-agent config check` lists errors, `media-agent config show` the effective settings.
# This file is safe to share: it contains no key.

# Used when no backend is named: "backend" or "backend/model".
default_backend = {_quote(choose_default_model(machine))}

# If a model does not support a value: use the nearest one and report it ("adjust"), or
# refuse ("strict").
policy = "adjust"
"""


def _render_backends(machine: Machine) -> Iterator[str]:
    yield "# --- Backends ---\n"
    yield from (f"# GPU: {gpu}" for gpu in machine.gpus)
    if not machine.gpus:
        yield "# GPU: none found"
    yield from (f"# ready on this machine: {name}" for name in machine.models)
    for folder in machine.folders:
        yield f"# downloaded, not registered yet: media-agent models add {folder}"
    if machine.comfyui is not None:
        yield f"# ComfyUI answers at {machine.comfyui}; for a workflow exported from it:"
        yield "# [backends.comfyui]"
        yield f'# base_url = "{machine.comfyui}"'
        yield "# [backends.comfyui.options]"
        yield '# workflow = "my-workflow.json"'
        yield '# slots = {prompt = "TITLE OF ITS NODE.text"}'
    yield ""
    for name, source in sorted(machine.keys.items()):
        yield f"# {name} has a key: {source}; it needs no line here"
    if machine.keys:
        yield ""
    kind = next(iter(sorted(machine.keys)), _FALLBACK)
    yield f"""\
# A name of your own: change "kind" to send the same request to another backend.
[backends.final]
kind = {_quote(kind)}
"""


def _render_routes(machine: Machine) -> Iterator[str]:
    yield "# --- Routing presets ---\n"
    yield "# On this machine, free of charge.\n[routes.draft]\nlocal_only = true\n"
    if machine.keys:
        allowed = ", ".join(map(_quote, sorted(machine.keys)))
        yield f"""\
# The best hosted model, up to a price per video in USD.
[routes.final]
allow = [{allowed}]
prefer = "best"
max_cost_usd = 1.00
"""
    yield """\
# Long videos: a backend without cuts, on this machine if possible.
[routes.long]
prefer = "local-first"
"""


def _render_budget(machine: Machine) -> str:
    sign = "" if machine.keys else "# "  # where nothing costs, it is only shown
    return f"""\
# Spending limits in USD: per video, and per day (UTC).
{sign}[budget]
{sign}max_cost_usd = 1.00
{sign}max_cost_usd_per_day = 5.00
"""


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
