"""Where two conversations differ, field by field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ABSENT = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """A place at which the SDK and media-agent do not send the same."""

    place: str
    """Such as "submit body.seed", in any call of that name; a name alone: a call as a whole."""
    only: Literal["sdk", "ours"] | None
    """Who sends it; None: both, and not the same."""
    sdk: Any = None
    ours: Any = None


def differences(
    sdk: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]
) -> Iterator[Difference]:
    """Yield where calls differ; each is compared with the other's call of the same name."""
    theirs, mine = _by_name(sdk), _by_name(ours)
    for key in {**theirs, **mine}:
        name, left, right = key[0], theirs.get(key, ABSENT), mine.get(key, ABSENT)
        if left is ABSENT or right is ABSENT:
            yield _difference(name, left, right)
            continue
        for part in ("method", "path", "query", "headers", "body"):
            yield from _within(f"{name} {part}", left.get(part, ABSENT), right.get(part, ABSENT))


def _by_name(calls: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Any]:
    """Return calls by their names, and how many of a name came before."""
    named: dict[tuple[str, int], Any] = {}
    for call in calls:
        before = sum(name == call["name"] for name, _ in named)
        named[call["name"], before] = call
    return named


def _within(place: str, sdk: Any, ours: Any) -> Iterator[Difference]:
    if isinstance(sdk, dict) and isinstance(ours, dict):
        for name in {**sdk, **ours}:
            yield from _within(f"{place}.{name}", sdk.get(name, ABSENT), ours.get(name, ABSENT))
    elif isinstance(sdk, list) and isinstance(ours, list) and len(sdk) == len(ours):
        for number, (left, right) in enumerate(zip(sdk, ours, strict=True)):
            yield from _within(f"{place}.{number}", left, right)
    elif type(sdk) is not type(ours) or sdk != ours:  # 1, 1.0 and true are three things in JSON
        yield _difference(place, sdk, ours)


def _difference(place: str, sdk: Any, ours: Any) -> Difference:
    if sdk is ABSENT:
        return Difference(place, "ours", ours=ours)
    if ours is ABSENT:
        return Difference(place, "sdk", sdk=sdk)
    return Difference(place, None, sdk, ours)
