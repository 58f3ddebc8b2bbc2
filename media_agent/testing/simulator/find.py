"""Finds the simulator of a backend."""

import pkgutil
from collections.abc import Mapping

from media_agent.backend.fence import PLUGIN_HINT, call_plugin
from media_agent.backend.protocol import BackendSpec
from media_agent.errors import InvalidRequestError, PluginError
from media_agent.suggest import did_you_mean
from media_agent.testing.simulator.base import Simulator


def find_simulator(name: str, specs: Mapping[str, BackendSpec]) -> type[Simulator]:
    """Return the class of the simulator of a backend; imports it.

    Raises:
        InvalidRequestError: no backend of this name has a simulator.
        PluginError: it has one that cannot be loaded.
    """
    places = {spec.name: spec.simulator for spec in specs.values() if spec.simulator is not None}
    if name not in places:
        raise InvalidRequestError(f"unknown simulator {name!r}", hint=did_you_mean(name, places))
    place = places[name]
    found = call_plugin(
        f"the simulator of {name}, {place}", lambda: pkgutil.resolve_name(place), object
    )
    if not (isinstance(found, type) and issubclass(found, Simulator)):
        raise PluginError(
            f"the simulator of {name}, {places[name]}, is not a Simulator", hint=PLUGIN_HINT
        )
    return found
