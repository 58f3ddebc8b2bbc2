"""Declares the backends of the native engine; the heavy imports happen at their first video."""

from collections.abc import Iterable
from pathlib import Path

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent_magi.wan_causal.fetching import RELEASED


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend "magi"."""
    from media_agent_magi.backend import MagiBackend

    return MagiBackend(settings)


def make_wan_causal(settings: BackendSettings) -> VideoBackend:
    """Build the backend "wan-causal"."""
    from media_agent_magi.backend import WanCausalBackend

    return WanCausalBackend(settings)


def choose_files(path: Path, variant: str | None) -> tuple[str, ...]:
    """Return which files of a repository are loaded."""
    from media_agent_magi.magi.fetching import choose_files

    return choose_files(path, variant)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backends "magi" and "wan-causal"."""
    folder = Path(__file__).parent
    return [
        BackendSpec(
            name="magi",
            factory=make,
            catalogue=folder / "catalogue.yaml",
            takes_folders=True,
            has_models=True,
            choose_files=choose_files,
        ),
        BackendSpec(
            name="wan-causal",
            factory=make_wan_causal,
            catalogue=folder / "wan_causal" / "catalogue.yaml",
            takes_folders=True,
            has_models=True,
            released=RELEASED,
        ),
    ]
