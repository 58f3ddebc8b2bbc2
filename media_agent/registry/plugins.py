"""Finds plugins by entry points and loads them one by one: a broken one is reported, no more.

pluggy's own loader stops at the first plugin that fails, hence a manager per plugin here.
"""

import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import NoneType

import pluggy

from media_agent import distribution
from media_agent.backend import hookspecs
from media_agent.backend.fence import PLUGIN_HINT, call_plugin, name_if_slow
from media_agent.backend.protocol import BackendSpec
from media_agent.errors import MediaAgentError, PluginError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_Packaged = Sequence[tuple[EntryPoint, str | None]]
_KINDS = {  # the fields of a BackendSpec other than name and factory
    "catalogue": (Path, NoneType),
    "simulator": (str, NoneType),
    "needs_section": (bool,),
    "key_variables": (tuple,),
    "key_origin": (str, NoneType),
    "takes_folders": (bool,),
    "has_models": (bool,),
}


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin, or one backend of it, that is left out, and why."""

    plugin: str
    reason: str
    package: str | None = None
    """What was installed, where that is known."""

    def to_error(self) -> PluginError:
        """Return the same as an error."""
        hint = PLUGIN_HINT if self.package is None else f"{PLUGIN_HINT}: {self.package}"
        return PluginError(f"plugin {self.plugin} is left out: {self.reason}", hint=hint)


@dataclass(frozen=True, slots=True)
class Discovery:
    """The backends found, by name, and the plugins that are broken."""

    specs: Mapping[str, BackendSpec]
    broken: tuple[BrokenPlugin, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    """The plugin of each backend, by the name of the backend."""


def discover(
    found: Iterable[EntryPoint] | None = None, *, clock: Callable[[], float] = time.monotonic
) -> Discovery:
    """Load the plugins of these entry points, by default the installed ones; never raises.

    Of two backends with one name the first counts: ours before others, then by plugin name.
    """
    if found is None:
        packaged = _find_installed(tuple(map(_look, sys.path)))
    else:
        packaged = _with_packages(found)
    specs: dict[str, BackendSpec] = {}
    owners: dict[str, str] = {}
    broken: list[BrokenPlugin] = []
    for entry_point, package in packaged:
        plugin = entry_point.name
        try:
            with name_if_slow(f"plugin {plugin}: loading it", clock):
                offered: list[BackendSpec] = call_plugin("it", partial(_load, entry_point), list)
        except MediaAgentError as error:
            broken.append(BrokenPlugin(plugin, error.message, package))
            continue
        for spec in offered:
            if spec.name in specs:
                owner = owners[spec.name]
                whom = "itself, before" if owner == plugin else f"plugin {owner}"
                taken = f"backend name {spec.name!r} is taken by {whom}"
                broken.append(BrokenPlugin(plugin, taken, package))
                continue
            specs[spec.name] = spec
            owners[spec.name] = plugin
    return Discovery(specs, tuple(broken), owners)


def _load(entry_point: EntryPoint) -> list[BackendSpec]:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(entry_point.load(), name=entry_point.name)
    manager.check_pending()
    if not manager.hook.media_agent_backends.get_hookimpls():
        raise PluginError("it implements no hook media_agent_backends")
    results = manager.hook.media_agent_backends()
    if not results:  # pluggy leaves None out
        raise PluginError("its media_agent_backends returned None, not a list of BackendSpec")
    return [_check_spec(spec) for offered in results for spec in _check_iterable(offered)]


def _check_iterable(offered: object) -> Iterable[object]:
    if not isinstance(offered, Iterable) or isinstance(offered, str):
        raise PluginError(
            f"its media_agent_backends returned {offered!r}, not a list of BackendSpec"
        )
    return offered


def _check_spec(spec: object) -> BackendSpec:
    if not isinstance(spec, BackendSpec):
        raise PluginError(f"media_agent_backends returned {spec!r}, not a BackendSpec")
    if not isinstance(spec.name, str) or _NAME.fullmatch(spec.name) is None:
        raise PluginError(
            f"backend name {spec.name!r} is not made of lower-case letters, digits, '.', '_', '-'"
        )
    for name, kinds in _KINDS.items():
        value: object = getattr(spec, name)
        if not isinstance(value, kinds):
            raise PluginError(f"backend {spec.name}: its {name} is {value!r}")
    if not callable(spec.factory):
        raise PluginError(f"backend {spec.name}: its factory is {spec.factory!r}")
    if spec.choose_files is not None and not callable(spec.choose_files):
        raise PluginError(f"backend {spec.name}: its choose_files is {spec.choose_files!r}")
    return spec


@lru_cache(maxsize=1)  # the files of every installed package are read for it
def _find_installed(_folders: tuple[tuple[str, float | None], ...]) -> _Packaged:
    """Return the entry points of what is installed in these folders, as they are now."""
    return _with_packages(entry_points(group=hookspecs.GROUP))


def _look(folder: str) -> tuple[str, float | None]:
    """Return a folder and when something in it came or went."""
    try:
        return folder, Path(folder).stat().st_mtime
    except OSError:
        return folder, None


def _with_packages(found: Iterable[EntryPoint]) -> _Packaged:
    """Return entry points in order, each with the package that it is of."""
    packaged = [(each, _find_package(each)) for each in found]
    return sorted(packaged, key=lambda each: _sort_key(*each))


def _sort_key(entry_point: EntryPoint, package: str | None) -> tuple[bool, str, str]:
    return package != distribution.NAME, entry_point.name, entry_point.value


def _find_package(entry_point: EntryPoint) -> str | None:
    try:
        return None if entry_point.dist is None else str(entry_point.dist.name)
    except Exception:  # noqa: BLE001  # what describes the package may be damaged in any way
        return None
