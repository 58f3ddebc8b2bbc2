"""Declares the native engine; the heavy imports happen when its first video is made."""

from collections.abc import Iterable
from pathlib import Path

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    from media_agent_magi.backend import MagiBackend

    return MagiBackend(settings)


def choose_files(path: Path, variant: str | None) -> tuple[str, ...]:
    """Return which files of a repository are loaded."""
    from media_agent_magi.magi.fetching import choose_files

    return choose_files(path, variant)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backend "magi"."""
    catalogue = Path(__file__).with_name("catalogue.yaml")
    return [
        BackendSpec(
            name="magi",
            factory=make,
            catalogue=catalogue,
            takes_folders=True,
            has_models=True,
            choose_files=choose_files,
        )
    ]
