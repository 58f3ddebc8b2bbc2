"""Declares local diffusers models; torch and diffusers are imported for the first video."""

from collections.abc import Iterable
from pathlib import Path

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    from media_agent_diffusers.backend import DiffusersBackend

    return DiffusersBackend(settings)


def choose_files(path: Path, variant: str | None) -> tuple[str, ...]:
    """Return which files of a model are loaded."""
    from media_agent_diffusers.model_folder import folder

    return folder.choose_files(path, variant)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backend "diffusers"."""
    return [
        BackendSpec(name="diffusers", factory=make, takes_folders=True, choose_files=choose_files)
    ]
