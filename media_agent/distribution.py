"""The distribution that we come from: its version, and how its extras are installed.

`media-agent` on PyPI is somebody else's. Until our distribution is published, a hint names where
it was installed from, which its own metadata says (PEP 610).
"""

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAME = "media-agent-video"


def own_version() -> str | None:
    """Return the version that is installed; None: it runs from its source without being so."""
    found = _installed()
    return None if found is None else found.version


def install_hint(extra: str) -> str:
    """Return the command that installs an extra from where this was installed from."""
    found = _installed()
    origin = None if found is None else found.read_text("direct_url.json")
    if found is not None and origin is None:
        return f"pip install '{NAME}[{extra}]'"
    source = {} if origin is None else json.loads(origin)
    parts = urlsplit(source.get("url", ""))
    path = Path(unquote(parts.path)) if parts.scheme == "file" else None
    if source and path is None:
        vcs = source.get("vcs_info", {}).get("vcs")
        return f"pip install '{NAME}[{extra}] @ {f'{vcs}+' if vcs else ''}{source['url']}'"
    is_editable = not source or source.get("dir_info", {}).get("editable", False)
    place = Path(__file__).resolve().parents[1] if path is None else path
    return f"pip install {'-e ' if is_editable else ''}'{place}[{extra}]'"


def _installed() -> Distribution | None:
    try:
        return distribution(NAME)
    except PackageNotFoundError:
        return None
