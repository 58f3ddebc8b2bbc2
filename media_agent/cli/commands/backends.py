"""The command that lists who can make videos, or says everything about one of them."""

from collections.abc import Iterator, Sequence
from json import dumps
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import one_line, tell, tell_json, tell_line

if TYPE_CHECKING:
    from media_agent.routing.listing import Listed
    from media_agent_schemas.capabilities import Capabilities


WIDTH = 100
_GAP = 2  # between two columns
_HEADS = ("BACKEND/MODEL", "FROM", "LONGEST", "PRICE", "CHECKED", "READY")
_FROM = {
    "text_to_video": "text",
    "image_to_video": "picture",
    "first_last_frame": "ends",
    "reference_to_video": "subjects",
    "video_edit": "film",
    "video_extend": "extend",
}


def backends(name: str | None = None, /, *, json: Flag = False) -> int:
    """List who can make videos, or say everything about one of them.

    Args:
        name: NAME or NAME/MODEL, to see its sizes, limits and options.
        json: Print JSON with everything that is known.
    """
    from media_agent.config.settings import load_settings
    from media_agent.registry.registry import Registry
    from media_agent.routing.listing import list_all, list_one

    settings = load_settings()
    registry = Registry(kinds=settings.kinds())
    listing = list_all(registry, settings) if name is None else list_one(name, registry, settings)
    found, problems = listing.models, listing.problems
    if json:
        tell_json({"data": [listed.as_json() for listed in found], "problems": list(problems)})
        return 0
    if name is None:
        _print_table(found)
    for listed in () if name is None else found:
        for line in _facts(listed):
            tell(line)
    for problem in problems:
        tell(f"problem: {problem}")
    return 0


def _print_table(found: "Sequence[Listed]") -> None:
    """Write a table of at most 100 columns; a name too long for its column has its own line."""
    rows = [_HEADS, *(_row(listed) for listed in found)]
    widths = [max(len(one_line(row[column])) for row in rows) for column in range(len(_HEADS))]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - _GAP * (len(widths) - 1))
    for row in rows:
        name, *rest = map(one_line, row)
        if len(name) > widths[0]:
            tell(name)
            name = ""
        cells = [cell.ljust(width) for cell, width in zip((name, *rest), widths, strict=True)]
        tell_line((" " * _GAP).join(cells).rstrip())


def _row(listed: "Listed") -> tuple[str, ...]:
    limits = listed.limits
    return (
        listed.name,
        " ".join(_FROM[mode] for mode in limits.modes),
        longest(limits),
        listed.price(),
        str(limits.verification),
        "yes" if limits.missing is None else f"lacks {limits.missing.partition(':')[0]}",
    )


def _facts(listed: "Listed") -> Iterator[str]:
    """Yield everything about one model, a line per fact."""
    limits = listed.limits
    kind = "" if limits.kind is None else f" (kind {limits.kind})"
    yield f"{listed.name}{kind}: {limits.description}"
    yield f"makes films from: {', '.join(limits.modes)}"
    if limits.input_roles:
        yield f"takes: {', '.join(limits.input_roles)}"
    if limits.controls:
        yield f"takes while it works: {', '.join(limits.controls)}"
    yield f"sizes: {_sizes(limits)}"
    yield f"frames per second: {_rates(limits)}"
    yield f"seconds: {_lengths(limits)}"
    if limits.closed_vocabulary is not None:
        yield f"knows only the words: {', '.join(limits.closed_vocabulary)}"
    yield f"price: {listed.price()} ({listed.estimate.source or 'nobody says'})"
    yield f"checked: {limits.verification}" + _beside(limits.verification.note)
    yield f"licence: {limits.licence or 'unknown'}"
    yield f"lacks: {limits.missing or 'nothing'}"
    for option in limits.options:
        default = "" if option.default is None else f"={dumps(option.default)}"
        yield f"--option {option.name}{default} ({option.type}): {option.description}"


def _beside(note: str | None) -> str:
    return "" if note is None else f" ({note})"


def longest(limits: "Capabilities") -> str:
    """Return how long a film can be, in words."""
    if limits.endless is True:
        return "endless"
    longest = max(limits.durations, default=limits.max_duration)
    return "any" if longest is None else f"{round(longest, 2):g} s"


def _sizes(limits: "Capabilities") -> str:
    span = limits.size_range
    if span is not None:
        return f"{span.minimum} to {span.maximum}, multiples of {span.multiple}"
    return ", ".join(map(str, limits.sizes or limits.resolutions)) or "any"


def _rates(limits: "Capabilities") -> str:
    span = limits.fps_range
    if span is not None:
        return f"{span.minimum:g} to {span.maximum:g}"
    return ", ".join(f"{rate:g}" for rate in limits.fps_values) or "its own"


def _lengths(limits: "Capabilities") -> str:
    if limits.durations:
        return ", ".join(f"{seconds:g}" for seconds in limits.durations)
    rule = f", {limits.frame_multiple}k+{limits.frame_offset} frames"
    ruled = "" if limits.frame_multiple == 1 else rule
    return f"from {limits.min_duration or 0:g}, longest {longest(limits)}{ruled}"
