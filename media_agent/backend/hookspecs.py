"""What a plugin may implement; a plugin is a module that an entry point in `media_agent` names.

    from media_agent.backend.hookspecs import hookimpl

    @hookimpl
    def media_agent_backends():
        return [BackendSpec(name="acme", factory=make)]

A plugin may offer kinds of policies or embeddings instead, or as well.

The module is imported whenever the backends are listed, so heavy imports go into the factory.
"""

from collections.abc import Iterable

import pluggy

from media_agent.backend.protocol import BackendSpec
from media_agent.policy.decisions import PolicySpec
from media_agent.provenance.quality.embedding import EmbeddingSpec

GROUP = "media_agent"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def media_agent_backends() -> Iterable[BackendSpec]:
    """Return the backends that this plugin offers."""
    raise AssertionError("pluggy calls the implementations, never the specification")


@hookspec
def media_agent_policies() -> Iterable[PolicySpec]:
    """Return the kinds of policies that this plugin offers; the settings say which are used."""
    raise AssertionError("pluggy calls the implementations, never the specification")


@hookspec
def media_agent_embeddings() -> Iterable[EmbeddingSpec]:
    """Return the embeddings of frames that this plugin offers; a setting says which is used."""
    raise AssertionError("pluggy calls the implementations, never the specification")
