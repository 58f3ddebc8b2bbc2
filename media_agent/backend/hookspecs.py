"""What a plugin may implement; a plugin is a module that an entry point in `media_agent` names.

    from media_agent.backend.hookspecs import hookimpl

    @hookimpl
    def media_agent_backends():
        return [BackendSpec(name="acme", factory=make)]

The module is imported whenever the backends are listed, so heavy imports go into the factory.
"""

from collections.abc import Iterable

import pluggy

from media_agent.backend.protocol import BackendSpec

GROUP = "media_agent"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def media_agent_backends() -> Iterable[BackendSpec]:
    """Return the backends that this plugin offers."""
    raise AssertionError("pluggy calls the implementations, never the specification")
