"""Stands in for what a server's routes import and do not need: engines, CUDA, other models.

A package keeps the modules that are named as real; any other module of it, and the packages that
are not installed, become stand-ins whose every attribute is there and does nothing.
"""

import importlib.machinery
import inspect
import sys
from collections.abc import Collection, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Loose(BaseModel):
    """A request or a reply of a route that is not used here."""

    model_config = ConfigDict(extra="allow")


class _AnyName(type):
    """Gives classes whatever attribute they are asked for."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stand_in(name)


class _Nothing(metaclass=_AnyName):
    """Can be called, decorated with, entered, and asked for any attribute."""

    def __new__(cls, *args: Any, **_: Any) -> Any:
        if len(args) == 1 and inspect.isfunction(args[0]):
            return args[0]  # it was used as a decorator
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing()

    def __call__(self, *args: Any, **_: Any) -> Any:
        return args[0] if len(args) == 1 and inspect.isfunction(args[0]) else _Nothing()

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __class_getitem__(cls, _: object) -> type:
        return cls


def _stand_in(name: str) -> type:
    if name.endswith(("Error", "Exception")):
        return type(name, (Exception,), {})
    if name.endswith(("Request", "Response", "Req", "ReqInput")):
        return type(name, (_Loose,), {"__module__": __name__})
    return _AnyName(name, (_Nothing,), {})


class _Module(ModuleType):
    real: Collection[str] = ()  # modules, some of which may be in this one

    def __getattr__(self, name: str) -> Any:
        full = f"{self.__name__}.{name}"
        if name.startswith("__") or any(f"{real}.".startswith(f"{full}.") for real in self.real):
            raise AttributeError(name)  # so that it is imported
        value = _stand_in(name)
        setattr(self, name, value)
        return value


class StandIns(MetaPathFinder, Loader):
    """Finds stand-ins before anything else is looked for."""

    def __init__(self, folder: Path, package: str, real: Collection[str], foreign: Sequence[str]):
        """Keep the `real` modules of a package in a folder; `foreign` packages are not there."""
        self._folder, self._package, self._real = folder, package, real
        self._foreign = foreign
        self._given: dict[str, dict[str, Any]] = {}

    def install(self) -> None:
        """Begin."""
        sys.meta_path.insert(0, self)

    def give(self, module: str, **attributes: Any) -> None:
        """Say what a stand-in has that is not nothing."""
        self._given[module] = attributes

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find the real module, a bare package above one, or a stand-in."""
        root = name.partition(".")[0]
        if root not in (self._package, *self._foreign) or name in self._real:
            return None
        spec = importlib.machinery.ModuleSpec(name, self, is_package=True)
        if any(real.startswith(f"{name}.") for real in self._real):
            spec.submodule_search_locations = [str(self._folder.joinpath(*name.split(".")))]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make a module of nothing, with what it was given."""
        module = _Module(spec.name)
        module.real = self._real
        vars(module).update(self._given.get(spec.name, {}))
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: a stand-in runs no code."""
