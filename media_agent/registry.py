"""From the name of a backend to the backend, made at first use."""

from collections.abc import Mapping
from functools import cached_property
from typing import Self

from media_agent.backend import BackendSettings, BackendSpec, VideoBackend
from media_agent.errors import BackendUnavailableError, InvalidRequestError, MediaAgentError
from media_agent.nearest import did_you_mean
from media_agent.plugins import BrokenPlugin, Discovery, discover


class Registry:
    """Knows the backends that are installed; looks for them once, when first asked."""

    def __init__(self, discovery: Discovery | None = None) -> None:
        if discovery is not None:
            self._discovery = discovery

    @classmethod
    def discover(cls) -> Self:
        """Look now; loads every plugin, but no backend and nothing heavy."""
        return cls(discover())

    @property
    def specs(self) -> Mapping[str, BackendSpec]:
        """The backends by name."""
        return self._discovery.specs

    @property
    def broken(self) -> tuple[BrokenPlugin, ...]:
        """The plugins that were left out, and why."""
        return self._discovery.broken

    def names(self) -> list[str]:
        """Return the names of all backends, sorted."""
        return sorted(self.specs)

    def create(self, name: str, settings: BackendSettings) -> VideoBackend:
        """Make a backend; heavy imports happen here.

        Raises:
            InvalidRequestError: there is none of this name; the nearest one is said.
            BackendUnavailableError: it is installed and cannot be started.
        """
        spec = self.specs.get(name)
        if spec is None:
            raise self._unknown(name)
        try:
            return spec.factory(settings)
        except MediaAgentError:
            raise
        except ImportError as error:
            raise BackendUnavailableError(
                f"backend {name} cannot be started: {error}",
                hint=f"pip install 'media-agent[{name}]', or what the plugin's manual says",
            ) from error
        except Exception as error:
            raise BackendUnavailableError(
                f"backend {name} cannot be started: {type(error).__name__}: {error}"
            ) from error

    @cached_property
    def _discovery(self) -> Discovery:
        return discover()

    def _unknown(self, name: str) -> InvalidRequestError:
        reasons = [broken.reason for broken in self.broken if broken.plugin == name]
        because = f" (plugin {name} is broken: {reasons[0]})" if reasons else ""
        return InvalidRequestError(
            f"there is no backend {name!r}{because}", hint=did_you_mean(name, self.names())
        )
