"""What goes wrong in a simulated provider, as data, and how often yet."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self, get_args

from media_agent.errors import InvalidRequestError
from media_agent.suggest import did_you_mean

FaultKind = Literal[
    "status",
    "echo",
    "delay",
    "stall",
    "close_before_accept",
    "close_after_accept",
    "garbage",
    "html",
    "odd",
    "mislabel",
    "duplicate",
    "slow_body",
    "truncate",
    "refuse",
]
_TAKES_EFFECT = (
    "delay",
    "stall",
    "close_after_accept",
    "garbage",
    "odd",
    "mislabel",
    "duplicate",
    "slow_body",
    "truncate",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next calls of one name ("*": of any).

    `status` answers `status`; `echo` does, and repeats the headers with the key; `delay`
    answers after `seconds`, `stall` never; `close_before_accept` and `close_after_accept`
    hang up; `garbage` and `html` answer nonsense with status 200; `odd` answers as always, but
    with "n/a" for each number, a field that nobody knows and a byte order mark; `mislabel` calls
    the answer a web page; `duplicate` delivers the
    request twice; `slow_body` trickles the answer over `seconds`; `truncate` hangs up halfway;
    `refuse` (for "*" only) refuses connections until `listen`.
    """

    call: str
    kind: FaultKind
    times: int | None = 1  # None: always
    status: int = 500
    retry_after: str | None = None
    seconds: float = 1.0
    accepts: bool | None = None  # whether the call has its effect; None: as the kind suggests

    @property
    def takes_effect(self) -> bool:
        """Whether the provider acts on the call before the fault strikes."""
        return self.kind in _TAKES_EFFECT if self.accepts is None else self.accepts

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `CALL:KIND[,NAME=VALUE...]`, such as `submit:status,status=429,retry_after=1`.

        Raises:
            InvalidRequestError: the text says no fault.
        """
        call, _, rest = text.partition(":")
        kind, *settings = rest.split(",")
        if not call or kind not in get_args(FaultKind):
            raise InvalidRequestError(
                f"fault {text!r} is not CALL:KIND", hint=did_you_mean(kind, get_args(FaultKind))
            )
        values: dict[str, object] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            reader = _READERS.get(name)
            try:
                values[name] = None if reader is None else reader(value)
            except ValueError:
                reader = None
            if reader is None:
                raise InvalidRequestError(
                    f"fault {text!r} has an impossible {setting!r}",
                    hint=did_you_mean(name, _READERS),
                )
        return cls(call, kind, **values)  # type: ignore[arg-type]  # read by _READERS


class ArmedFaults:
    """Faults that have yet to strike, each as often as it says."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._left: list[tuple[Fault, int | None]] = []  # how often; None: always
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Arm these too, after those that are armed already."""
        self._left += [(fault, fault.times) for fault in faults]

    def clear(self) -> None:
        """Disarm all of them."""
        self._left.clear()

    def take(self, call: str) -> Fault | None:
        """Return the first one that strikes a call of this name, and count it; None: none does."""
        for index, (fault, left) in enumerate(self._left):
            if fault.call in (call, "*") and fault.kind != "refuse" and left != 0:
                self._left[index] = fault, None if left is None else left - 1
                return fault
        return None

    def list_calls(self) -> list[str]:
        """Return the names of the calls that they are about."""
        return [fault.call for fault, _ in self._left]

    @property
    def refuse_connections(self) -> bool:
        """Whether one of them keeps the simulator from listening."""
        return any(fault.kind == "refuse" for fault, _ in self._left)


def _read_times(text: str) -> int | None:
    return None if text == "always" else int(text)


def _read_boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READERS: Mapping[str, Callable[[str], object]] = {
    "times": _read_times,
    "status": int,
    "retry_after": str,
    "seconds": float,
    "accepts": _read_boolean,
}
