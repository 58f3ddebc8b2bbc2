"""Finds the families: each file here and in the folders of related ones is one.

Files whose names end with `parts`, and those named below, have what several families share.
"""

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
    found = {}
    for module in pkgutil.walk_packages(families.__path__, f"{families.__name__}."):
        name = module.name.rpartition(".")[2]
        if not (module.ispkg or name in _SHARED or name.endswith("parts")):
            found[name] = import_module(module.name).FAMILY
    return found


def families_by_pipeline() -> dict[str, Family]:
    """Return the family of each pipeline class that a folder may name."""
    return {name: family for family in find_families().values() for name in family.pipelines}


def tiny_builders() -> dict[str, Callable[[], Any]]:
    """Return what builds each tiny pipeline, by its name."""
    return {
        name: build for family in find_families().values() for name, build in family.tiny.items()
    }
