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
from typing import TypeVar

import pluggy

from media_agent import distribution
from media_agent.backend import hookspecs
from media_agent.backend.fence import PLUGIN_HINT, call_plugin, name_if_slow
from media_agent.backend.protocol import BackendSpec
from media_agent.errors import MediaAgentError, PluginError
from media_agent.policy.decisions import PolicySpec
from media_agent.policy.shipped import SHIPPED
from media_agent.provenance.quality.embedding import LARGEST_SIDE, EmbeddingSpec

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
    "released": (Mapping,),
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
    """What was found, by name, and the plugins that are broken."""

    specs: Mapping[str, BackendSpec]
    broken: tuple[BrokenPlugin, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    """The plugin of each backend, by the name of the backend."""
    policies: Mapping[str, PolicySpec] = field(
        default_factory=lambda: {spec.name: spec for spec in SHIPPED}
    )
    """The kinds of policies, by name; ours first."""
    embeddings: Mapping[str, EmbeddingSpec] = field(default_factory=dict)


Spec = BackendSpec | PolicySpec | EmbeddingSpec
AnySpec = TypeVar("AnySpec", BackendSpec, PolicySpec, EmbeddingSpec)
_HOOKS: Mapping[str, type[Spec]] = {
    "media_agent_backends": BackendSpec,
    "media_agent_policies": PolicySpec,
    "media_agent_embeddings": EmbeddingSpec,
}


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
    taken: dict[type[Spec], dict[str, Spec]] = {kind: {} for kind in _HOOKS.values()}
    taken[PolicySpec] |= {spec.name: spec for spec in SHIPPED}
    owners: dict[str, str] = {}
    broken: list[BrokenPlugin] = []
    for entry_point, package in packaged:
        plugin = entry_point.name
        try:
            with name_if_slow(f"plugin {plugin}: loading it", clock):
                offered: list[Spec] = call_plugin("it", partial(_load, entry_point), list)
        except MediaAgentError as error:
            broken.append(BrokenPlugin(plugin, error.message, package))
            continue
        for spec in offered:
            known, what = taken[type(spec)], _name_kind(spec)
            if spec.name in known:
                owner = owners.get(f"{what} {spec.name}", "media-agent")
                whom = "itself, before" if owner == plugin else f"plugin {owner}"
                said = f"{what} name {spec.name!r} is taken by {whom}"
                broken.append(BrokenPlugin(plugin, said, package))
                continue
            known[spec.name] = spec
            owners[f"{what} {spec.name}"] = plugin
    specs = _of_kind(taken, BackendSpec)
    return Discovery(
        specs,
        tuple(broken),
        {name: owners[f"backend {name}"] for name in specs},
        policies=_of_kind(taken, PolicySpec),
        embeddings=_of_kind(taken, EmbeddingSpec),
    )


def _of_kind(
    taken: Mapping[type[Spec], Mapping[str, Spec]], kind: type[AnySpec]
) -> dict[str, AnySpec]:
    return {name: spec for name, spec in taken[kind].items() if isinstance(spec, kind)}


def _name_kind(spec: Spec) -> str:
    match spec:
        case BackendSpec():
            return "backend"
        case PolicySpec():
            return "policy"
        case EmbeddingSpec():
            return "embedding"


def _load(entry_point: EntryPoint) -> list[Spec]:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(entry_point.load(), name=entry_point.name)
    manager.check_pending()
    found: list[Spec] = []
    there = [name for name in _HOOKS if getattr(manager.hook, name).get_hookimpls()]
    if not there:
        raise PluginError(f"it implements no hook {', '.join(_HOOKS)}")
    for name in there:
        results = getattr(manager.hook, name)()
        if not results:  # pluggy leaves None out
            raise PluginError(f"its {name} returned None, not a list of {_HOOKS[name].__name__}")
        for offered in results:
            found += [_check(spec, name) for spec in _check_iterable(offered, name)]
    return found


def _check_iterable(offered: object, hook: str) -> Iterable[object]:
    if not isinstance(offered, Iterable) or isinstance(offered, str):
        raise PluginError(f"its {hook} returned {offered!r}, not a list of {_HOOKS[hook].__name__}")
    return offered


def _check(spec: object, hook: str) -> Spec:
    if hook == "media_agent_backends":
        return _check_spec(spec)
    if not isinstance(spec, PolicySpec | EmbeddingSpec) or not isinstance(spec, _HOOKS[hook]):
        raise PluginError(f"{hook} returned {spec!r}, not a {_HOOKS[hook].__name__}")
    what = _name_kind(spec)
    _check_name(spec.name, what)
    if not callable(spec.factory):
        raise PluginError(f"{what} {spec.name}: its factory is {spec.factory!r}")
    if isinstance(spec, EmbeddingSpec):
        for side in (spec.width, spec.height):
            if not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
                raise PluginError(f"embedding {spec.name}: a frame of {side!r} pixels")
    return spec


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise PluginError(
            f"{what} name {name!r} is not made of lower-case letters, digits, '.', '_', '-'"
        )


def _check_spec(spec: object) -> BackendSpec:
    if not isinstance(spec, BackendSpec):
        raise PluginError(f"media_agent_backends returned {spec!r}, not a BackendSpec")
    _check_name(spec.name, "backend")
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
