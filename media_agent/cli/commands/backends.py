"""The command that lists the backends, or shows everything about one of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from json import dumps
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag, Names, Number, read_number
from media_agent.cli.commands.plan import has_old_price, old_price_note
from media_agent.cli.screen import write_json, write_stdout, write_table

if TYPE_CHECKING:
    from media_agent.registry.registry import Registry
    from media_agent.routing.listing import Listed
    from media_agent_schemas.capabilities import Capabilities


_HEADS = ("BACKEND/MODEL", "FROM", "LONGEST", "PRICE", "CHECKED", "READY")
_FROM = {
    "text_to_video": "text",
    "image_to_video": "image",
    "first_last_frame": "ends",
    "reference_to_video": "subjects",
    "video_edit": "video",
    "video_extend": "extend",
}


def backends(
    name: str | None = None,
    /,
    *,
    provider: Names = (),
    mode: Annotated[Names, Parameter(metavar="MODE")] = (),
    max_price: Number = None,
    json: Flag = False,
) -> int:
    """List the backends and their models, or show everything about one of them.

    Args:
        name: NAME for its models, NAME/MODEL for all about one, or wan-2.7 for all offers of it.
        provider: Only the models of this backend; may be repeated.
        mode: Only what takes text, image, ends, subjects, video or extend; repeated: all of them.
        max_price: Only models of at most so many USD a second; those of unknown price are left out.
        json: Print everything that is known as JSON.
    """
    from media_agent.config.settings import load_settings
    from media_agent.registry.registry import Registry
    from media_agent.routing.listing import list_all, list_one

    modes = [_read_mode(each) for each in mode]
    price = _read_price(max_price)
    settings = load_settings()
    registry = Registry(kinds=settings.kinds())
    _check_providers(provider, registry)
    listing = list_all(registry, settings) if name is None else list_one(name, registry, settings)
    problems = listing.problems
    found = [each for each in listing.models if _is_wanted(each, provider, modes, price)]
    if json:
        write_json({"data": [listed.as_json() for listed in found], "problems": list(problems)})
        return 0
    is_filtered = bool(provider or modes or price is not None)
    if len(found) > 1 or name is None or is_filtered:
        _show_table(found)
    else:
        for line in _list_facts(found[0]):
            write_stdout(line)
    if is_filtered:
        write_stdout(f"{len(found)} of {len(listing.models)} models")
        return 0
    for line in listing.notes:
        write_stdout(line)
    for problem in problems:
        write_stdout(f"problem: {problem}")
    return 0


def _read_mode(word: str) -> str:
    """Return the kind of work that a word of the table means.

    Raises:
        InvalidRequestError: it means none.
    """
    from media_agent.errors import InvalidRequestError
    from media_agent.suggest import did_you_mean

    by_word = {short: mode for mode, short in _FROM.items()} | {mode: mode for mode in _FROM}
    if word not in by_word:
        raise InvalidRequestError(f"unknown mode {word!r}", hint=did_you_mean(word, by_word))
    return by_word[word]


def _read_price(text: str | None) -> float | None:
    """Return the most that a second may cost, in USD.

    Raises:
        InvalidRequestError: it is not an amount.
    """
    from media_agent.errors import InvalidRequestError

    price = read_number("max-price", text)
    if price is not None and price < 0:
        raise InvalidRequestError(f"--max-price {text} is not an amount")
    return price


def _check_providers(names: Sequence[str], registry: "Registry") -> None:
    """Refuse names of no backend.

    Raises:
        InvalidRequestError: one is unknown; the nearest is said.
    """
    from media_agent.errors import InvalidRequestError
    from media_agent.suggest import did_you_mean

    for name in names:
        if name not in registry.names():
            hint = did_you_mean(name, registry.names())
            raise InvalidRequestError(f"unknown backend {name!r}", hint=hint)


def _is_wanted(
    listed: "Listed", providers: Sequence[str], modes: Sequence[str], price: float | None
) -> bool:
    capabilities, usd = listed.capabilities, listed.usd_per_second
    is_named = not providers or capabilities.backend in providers
    is_able = all(mode in capabilities.modes for mode in modes)
    return is_named and is_able and (price is None or (usd is not None and usd <= price + 1e-9))


def _show_table(found: "Sequence[Listed]") -> None:
    """Write a row a model, grouped by backend."""
    groups = Counter(listed.capabilities.backend for listed in found)
    titles: dict[int, str] = {}
    for number, listed in enumerate(found):
        backend = listed.capabilities.backend
        is_first = number == 0 or found[number - 1].capabilities.backend != backend
        if is_first and 1 < len(groups) < len(found):
            many = groups[backend]
            titles[number] = f"{backend}: {many} model{'s' if many > 1 else ''}"
    write_table(_HEADS, [_format_row(listed) for listed in found], titles)
    if any(map(has_old_price, found)):
        write_stdout(f"* {old_price_note()}")


def _format_row(listed: "Listed") -> tuple[str, ...]:
    capabilities = listed.capabilities
    return (
        listed.name,
        " ".join(_FROM[mode] for mode in capabilities.modes),
        format_longest(capabilities),
        listed.price() + ("*" if has_old_price(listed) else ""),
        str(capabilities.verification),
        "yes"
        if capabilities.missing is None
        else f"needs {capabilities.missing.partition(':')[0]}",
    )


def _list_facts(listed: "Listed") -> Iterator[str]:
    """Yield everything about one model, a line per fact."""
    capabilities = listed.capabilities
    kind = "" if capabilities.kind is None else f" (kind {capabilities.kind})"
    yield f"{listed.name}{kind}: {capabilities.description}"
    if listed.offer_of is not None:
        yield f"offer of: {listed.offer_of} (--model {listed.offer_of} compares all offers)"
    yield f"makes videos from: {', '.join(capabilities.modes)}"
    if capabilities.input_roles:
        yield f"inputs: {', '.join(capabilities.input_roles)}"
    if takes := [*_list_takes(capabilities)]:
        yield f"also takes: {', '.join(takes)}"
    if capabilities.controls:
        yield f"live commands: {', '.join(capabilities.controls)}"
    yield f"sizes: {_format_sizes(capabilities)}"
    yield f"frames per second: {_format_rates(capabilities)}"
    yield f"duration: {_format_lengths(capabilities)}"
    if capabilities.closed_vocabulary is not None:
        yield f"vocabulary: {', '.join(capabilities.closed_vocabulary)}"
    yield f"price: {listed.price()} ({listed.estimate.source or 'source unknown'})"
    yield f"checked: {capabilities.verification}" + _format_note(capabilities.verification.note)
    yield f"licence: {capabilities.licence or 'unknown'}"
    yield f"missing: {capabilities.missing or 'nothing'}"
    for option in capabilities.options:
        default = "" if option.default is None else f"={dumps(option.default)}"
        yield f"--option {option.name}{default} ({option.type}): {option.description}"


def _list_takes(capabilities: "Capabilities") -> Iterator[str]:
    """Yield what a request may say beside prompt, inputs and measures."""
    if capabilities.max_shots is not None and capabilities.max_shots > 1:
        yield f"up to {capabilities.max_shots} shots"
    if capabilities.negative_prompt is True:
        yield "negative prompt"
    if capabilities.seed is True:
        yield "seed"
    if capabilities.audio is True:
        yield "audio or none"
    elif capabilities.audio == "always":
        yield "audio (always)"
    if capabilities.camera is True:
        moves = ", ".join(capabilities.camera_moves) or "any"
        yield f"camera ({moves})"


def _format_note(note: str | None) -> str:
    return "" if note is None else f" ({note})"


def format_longest(capabilities: "Capabilities") -> str:
    """Return how long a video can be, in words."""
    if capabilities.endless is True:
        return "endless"
    from media_agent.negotiation.possible_lengths import find_longest_shot

    longest = find_longest_shot(capabilities)
    if longest is None:
        return "any"
    further = "" if capabilities.windows is None else ", more in windows"
    return f"{round(longest, 2):g} s{further}"


def _format_sizes(capabilities: "Capabilities") -> str:
    span = capabilities.size_range
    if span is not None:
        return f"{span.minimum} to {span.maximum}, multiples of {span.multiple}"
    return ", ".join(map(str, capabilities.sizes or capabilities.resolutions)) or "any"


def _format_rates(capabilities: "Capabilities") -> str:
    span = capabilities.fps_range
    if span is not None:
        return f"{span.minimum:g} to {span.maximum:g}"
    return ", ".join(f"{rate:g}" for rate in capabilities.fps_values) or "its own"


def _format_lengths(capabilities: "Capabilities") -> str:
    if capabilities.durations:
        return ", ".join(f"{seconds:g}" for seconds in capabilities.durations) + " s"
    rule = f", {capabilities.frame_multiple}k+{capabilities.frame_offset} frames"
    ruled = "" if capabilities.frame_multiple == 1 else rule
    if capabilities.min_frames is not None or capabilities.max_frames is not None:
        from media_agent.negotiation.possible_lengths import format_frames

        ruled = f", {format_frames(capabilities)} frames at any rate{ruled}"
    least, most = capabilities.min_duration or 0, format_longest(capabilities)
    return f"{most}{ruled}" if least == 0 else f"{least:g} s to {most}{ruled}"
