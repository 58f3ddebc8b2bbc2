"""The command that lists who can make videos, or says everything about one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import one_line, tell, tell_json, tell_line

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.config import Settings
    from media_agent.pieces import Maker
    from media_agent.registry import Registry
    from media_agent_schemas.capabilities import Capabilities, Estimate
    from media_agent_schemas.request import VideoRequest


WIDTH = 100
_GAP = 2  # between two columns
_HEADS = ("BACKEND/MODEL", "FROM", "LONGEST", "PRICE", "CHECKED", "READY")
_SECONDS = 5.0  # of film, for a price, where the model has no length of its own
_FROM = {
    "text_to_video": "text",
    "image_to_video": "picture",
    "first_last_frame": "ends",
    "reference_to_video": "subjects",
    "video_edit": "film",
    "video_extend": "extend",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One model, and what a usual film of it costs."""

    limits: "Capabilities"
    estimate: "Estimate"
    seconds: float

    @property
    def name(self) -> str:
        """Return "backend/model"."""
        return f"{self.limits.backend}/{self.limits.model}"

    def as_json(self) -> "JsonValue":
        """Return everything that is known."""
        known: dict[str, JsonValue] = self.limits.model_dump(mode="json")
        return known | {
            "estimate": self.estimate.model_dump(mode="json"),
            "estimate_seconds_of_film": self.seconds,
        }

    def price(self) -> str:
        """Return the price of a second of film."""
        cost = self.estimate.cost_usd
        if cost is None:
            return "unknown"
        return "free" if cost == 0 else f"${cost / self.seconds:.2f}/s"


def backends(name: str | None = None, /, *, json: Flag = False) -> int:
    """List who can make videos, or say everything about one of them.

    Args:
        name: NAME or NAME/MODEL, to see its sizes, limits and options.
        json: Print JSON with everything that is known.
    """
    from media_agent.config import load_settings
    from media_agent.registry import Registry

    settings = load_settings()
    registry = Registry(kinds=settings.kinds())
    wanted, _, model = (name or "").partition("/")
    found, problems = _look(registry, settings, wanted, model)
    if json:
        data: list[JsonValue] = [listed.as_json() for listed in found]
        tell_json({"data": data, "problems": list(problems)})
        return 0
    if name is None:
        _print_table(found)
    for listed in () if name is None else found:
        for line in _facts(listed):
            tell(line)
    for problem in problems:
        tell(f"problem: {problem}")
    return 0


def _look(
    registry: "Registry", settings: "Settings", wanted: str, model: str
) -> tuple[list[Listed], list[str]]:
    """Return all models, or those wanted, and what is wrong with backends that cannot be asked.

    Raises:
        MediaAgentError: the wanted one does not exist or cannot be asked.
    """
    from media_agent.catalogue import Catalogue
    from media_agent.errors import MediaAgentError, in_full
    from media_agent.router import Router

    problems = [] if wanted else [broken.error().message for broken in registry.broken]
    catalogue = Catalogue.load(registry.specs)
    problems += [] if wanted else catalogue.problems
    found: list[Listed] = []
    for name in [wanted] if wanted else registry.names():
        try:
            backend = registry.create(name, settings.backend_settings(name))
            router = Router({name: backend}, catalogue, draw_seed=lambda: 0)
            models = [model] if model else backend.capabilities().models or ("",)
            for each in models:
                found.append(_listed(router.maker(f"{name}/{each}")))
        except MediaAgentError as error:
            if wanted:
                raise
            problems.append(f"{name}: {in_full(error).removeprefix(f'{name} ')}")
    return found, problems


def _listed(maker: "Maker") -> Listed:
    from media_agent.errors import MediaAgentError, PluginError
    from media_agent_schemas.capabilities import Estimate

    limits = maker.capabilities
    request = _usual_request(limits)
    try:
        return Listed(limits, maker.estimate(request), request.seconds() or _SECONDS)
    except PluginError:
        raise
    except MediaAgentError:  # a price that depends on what was not said
        return Listed(limits, Estimate(), _SECONDS)


def _usual_request(limits: "Capabilities") -> "VideoRequest":
    """Return what a model makes when nothing but its name is said."""
    from media_agent_schemas.request import VideoRequest

    fps = limits.default_fps or (limits.fps_values or (24.0,))[0]
    seconds = limits.default_duration or (limits.durations or (_SECONDS,))[0]
    return VideoRequest(
        prompt="x",
        model=f"{limits.backend}/{limits.model}",
        fps=fps,
        num_frames=max(1, round(seconds * fps)),
        size=limits.default_size,
        resolution=limits.resolutions[0] if limits.resolutions and not limits.sizes else None,
    )


def _print_table(found: list[Listed]) -> None:
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


def _row(listed: Listed) -> tuple[str, ...]:
    limits = listed.limits
    return (
        listed.name,
        " ".join(_FROM[mode] for mode in limits.modes),
        longest(limits),
        listed.price(),
        str(limits.verification),
        "yes" if limits.missing is None else f"lacks {limits.missing.partition(':')[0]}",
    )


def _facts(listed: Listed) -> Iterator[str]:
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
