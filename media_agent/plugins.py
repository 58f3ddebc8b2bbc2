"""Finds plugins by entry points and loads them one by one: a broken one is reported, no more.

pluggy's own loader stops at the first plugin that fails, hence a manager per plugin here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import pluggy

from media_agent import hookspecs
from media_agent.backend import BackendSpec
from media_agent.errors import PluginError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin, or one backend of it, that is left out, and why."""

    plugin: str
    reason: str

    def error(self) -> PluginError:
        """Return the same as an error."""
        return PluginError(
            f"plugin {self.plugin} is left out: {self.reason}",
            hint="update, repair or uninstall the package it comes from",
        )


@dataclass(frozen=True, slots=True)
class Discovery:
    """The backends found, by name, and the plugins that are broken."""

    specs: Mapping[str, BackendSpec]
    broken: tuple[BrokenPlugin, ...] = ()


def discover(found: Iterable[EntryPoint] | None = None) -> Discovery:
    """Load the plugins of these entry points, by default the installed ones; never raises.

    Of two backends with one name the first counts: ours before others, then by plugin name.
    """
    if found is None:
        found = entry_points(group=hookspecs.GROUP)
    specs: dict[str, BackendSpec] = {}
    owners: dict[str, str] = {}
    broken: list[BrokenPlugin] = []
    for entry_point in sorted(found, key=lambda each: (not _is_ours(each), each.name, each.value)):
        try:
            offered = _load(entry_point)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may do anything
            broken.append(BrokenPlugin(entry_point.name, _reason(error)))
            continue
        for spec in offered:
            if spec.name in specs:
                taken = f"backend name {spec.name!r} is taken by plugin {owners[spec.name]}"
                broken.append(BrokenPlugin(entry_point.name, taken))
                continue
            specs[spec.name] = spec
            owners[spec.name] = entry_point.name
    return Discovery(specs, tuple(broken))


def _load(entry_point: EntryPoint) -> list[BackendSpec]:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(entry_point.load(), name=entry_point.name)
    manager.check_pending()
    results = manager.hook.media_agent_backends()
    if not results:
        raise PluginError("it implements no hook media_agent_backends")
    return [_checked(spec) for offered in results for spec in offered]


def _checked(spec: object) -> BackendSpec:
    if not isinstance(spec, BackendSpec):
        raise PluginError(f"media_agent_backends gave {spec!r}, which is no BackendSpec")
    if not isinstance(spec.name, str) or _NAME.fullmatch(spec.name) is None:
        raise PluginError(
            f"backend name {spec.name!r} is not made of lower-case letters, digits, '.', '_', '-'"
        )
    return spec


def _is_ours(entry_point: EntryPoint) -> bool:
    return entry_point.dist is not None and entry_point.dist.name == "media-agent"


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
