"""The command that stands in for a provider on this machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Texts
from media_agent.cli.screen import flush, write_stderr, write_stdout

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.testing import Simulator


_SCALE = 10  # 640x360: providers refuse smaller images as inputs, such as the next segment's


def simulate(
    name: str,
    /,
    *,
    port: Annotated[int, Parameter(metavar="NUMBER")] = 0,
    fault: Texts = (),
    settings: Annotated[Texts, Parameter(name="--set")] = (),
) -> int:
    """Simulate a provider on this machine, free of charge, until you press Ctrl-C.

    Args:
        name: Backend whose provider to simulate.
        port: Port to listen on; 0 picks a free one.
        fault: Fault to inject, CALL:KIND[,NAME=VALUE...], such as submit:close_after_accept.
        settings: Setting of the provider, NAME=VALUE, such as outcome=failed; may be repeated.
    """
    import threading

    from media_agent.registry.registry import Registry
    from media_agent.testing.simulator.faults import Fault
    from media_agent.testing.simulator.find import find_simulator

    kind = find_simulator(name, Registry().specs)
    make: Callable[..., Simulator] = kind  # what else it takes only its class knows
    faults = [Fault.parse(text) for text in fault]
    with make(faults, port=port, **_read_settings(kind, settings)) as simulator:
        simulator.scale = _SCALE
        write_stdout(f"{name} is simulated at {simulator.url}")
        flush()
        write_stderr(
            f"set base_url to it and any key; {simulator.url}/__simulator__ counts; Ctrl-C stops"
        )
        threading.Event().wait()
    return 0


def _read_settings(kind: "type[Simulator]", texts: tuple[str, ...]) -> "dict[str, JsonValue]":
    """Read the settings that this simulator takes; a value is JSON, or a text as it stands."""
    import inspect
    import json

    from media_agent.errors import InvalidRequestError
    from media_agent.suggest import did_you_mean

    known = [name for name in inspect.signature(kind).parameters if name not in ("faults", "port")]
    read: dict[str, JsonValue] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise InvalidRequestError(
                f"{kind.name} has no setting {text!r}", hint=did_you_mean(name, known)
            )
        try:
            read[name] = json.loads(value)
        except ValueError:
            read[name] = value
    return read
