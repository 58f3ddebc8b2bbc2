"""Declares the hosted backends; each is imported when it is first used."""

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent_hosted import providers
from media_agent_hosted.retired import retired_specs
from media_agent_hosted.unsupported import unsupported_specs


def make_http(settings: BackendSettings) -> VideoBackend:
    """Build a backend for a service that the settings describe."""
    from media_agent_hosted.declared.backend import HttpBackend

    return HttpBackend(settings)


def provider_specs() -> list[BackendSpec]:
    """Return the `SPEC` of every folder of a provider, so that a new one needs no list."""
    folders = iter_modules(providers.__path__)
    return [import_module(f"{providers.__name__}.{folder.name}").SPEC for folder in folders]


def with_keys(spec: BackendSpec) -> BackendSpec:
    """Return a spec whose backend takes several keys."""

    def make(settings: BackendSettings) -> VideoBackend:
        if not settings.keys:
            return spec.factory(settings)
        from media_agent_hosted.base.several_keys import make_with_keys

        return make_with_keys(spec.factory, settings)

    return replace(spec, factory=make, takes_keys=True)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the hosted backends."""
    http = BackendSpec(name="http", factory=make_http, needs_section=True)
    providers = (with_keys(spec) if spec.key_variables else spec for spec in provider_specs())
    return [*providers, with_keys(http), *retired_specs(), *unsupported_specs()]
