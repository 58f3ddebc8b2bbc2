"""The backends in use: each is made once, at its first use, and closed with all others."""

import asyncio
import threading
from collections.abc import Callable

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.registry.registry import Registry


class OpenBackends:
    """The backends that a program uses, by name; event loops in several threads may share them."""

    def __init__(self, registry: Registry, settings_of: Callable[[str], BackendSettings]) -> None:
        """Take who makes backends, and what each of them is given."""
        self._registry = registry
        self._settings_of = settings_of
        self._open: dict[str, VideoBackend] = {}
        self._opening = threading.Lock()
        self.keys: set[str] = set()
        """All keys that they were given."""

    async def get(self, name: str) -> VideoBackend:
        """Return a backend; it is made in a thread, as that may take long.

        Raises:
            MediaAgentError: there is none of this name, or it cannot be used here.
        """
        known = self._open.get(name)
        return await asyncio.to_thread(self._make, name) if known is None else known

    async def aclose(self) -> None:
        """Close each once, also if this is called twice at the same time."""
        while self._open:
            _, backend = self._open.popitem()
            await backend.aclose()

    def _make(self, name: str) -> VideoBackend:
        with self._opening:  # a server lists models in another loop than that of the jobs
            if name not in self._open:
                settings = self._settings_of(name)
                keys = (settings.key, *(each.key for each in settings.keys))
                self.keys |= {each.get_secret_value() for each in keys if each is not None}
                self._open[name] = self._registry.create(name, settings)
            return self._open[name]
