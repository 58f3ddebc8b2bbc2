"""Finds the families: every other file of this folder is one, unless it is named `*_parts`."""

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from media_agent_diffusers import families
from media_agent_diffusers.families.family import Family

_SHARED = ("catalogue", "family", "restyle")


@cache
def find_families() -> dict[str, Family]:
    """Return the families by the names of their files."""
    names = [module.name for module in pkgutil.iter_modules(families.__path__)]
    return {
        name: import_module(f"{families.__name__}.{name}").FAMILY
        for name in names
        if name not in _SHARED and not name.endswith("_parts")
    }


def families_by_pipeline() -> dict[str, Family]:
    """Return the family of each pipeline class that a folder may name."""
    return {name: family for family in find_families().values() for name in family.pipelines}


def tiny_builders() -> dict[str, Callable[[], Any]]:
    """Return what builds each tiny pipeline, by its name."""
    return {
        name: build for family in find_families().values() for name, build in family.tiny.items()
    }
