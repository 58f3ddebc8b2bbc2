"""Which frame size is used: the asked one, or the nearest that the model can make."""

import math
from collections.abc import Collection
from fractions import Fraction

from media_agent.negotiation.draft import NegotiationDraft
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.facts import SizeRange
from media_agent_schemas.media import LARGEST_SIDE, SMALLEST_SIDE, InputRole, ResolutionTier, Size
from media_agent_schemas.request import VideoRequest

_SHORT_SIDES = {
    ResolutionTier.P360: 360,
    ResolutionTier.P480: 480,
    ResolutionTier.P540: 540,
    ResolutionTier.P720: 720,
    ResolutionTier.P768: 768,
    ResolutionTier.P1080: 1080,
    ResolutionTier.K2: 1440,
    ResolutionTier.K4: 2160,
}

_SAME_SHAPE = 0.03  # as a logarithm: a difference of 3 % is not seen
_STEPS = 17  # 1 / (2 * 17) of the shorter side is less than that

_SHAPING = {InputRole.FIRST_FRAME: "image", InputRole.SOURCE_VIDEO: "source video"}

_Sides = tuple[int, int]


def short_side_of(tier: ResolutionTier) -> int:
    """Return the shorter side that a tier stands for, in pixels."""
    return _SHORT_SIDES[tier]


def find_short_side(request: VideoRequest) -> int | None:
    """Return the shorter side of the frames asked, in pixels, None where it is left open."""
    if request.size is not None:
        return min(request.size.width, request.size.height)
    return None if request.resolution is None else _SHORT_SIDES[request.resolution]


def resolve_size(draft: NegotiationDraft) -> None:
    """Settle size, resolution and aspect ratio."""
    request, capabilities = draft.request, draft.capabilities
    if request.size is not None:
        _resolve_pixels(draft, "size", str(request.size), request.size)
    elif request.resolution is not None or request.aspect_ratio is not None:
        _resolve_names(draft)
    elif capabilities.image_sets_shape and _has_first_frame(request):
        _resolve_default_tier(draft)
    elif draft.shape is not None and draft.shape.size is not None and capabilities.local is True:
        _resolve_continued(draft, draft.shape.size)
    elif draft.shape is not None:
        _resolve_shape(draft, draft.shape.ratio)
    elif capabilities.default_size is not None:
        draft.resolved["size"] = capabilities.default_size
        draft.note("size", None, str(capabilities.default_size), "not given; the model's default")


def _has_first_frame(request: VideoRequest) -> bool:
    return any(medium.role is InputRole.FIRST_FRAME for medium in request.inputs)


def _resolve_default_tier(draft: NegotiationDraft) -> None:
    """Resolve how large frames are that take the shape of an image."""
    size = draft.capabilities.default_size
    short = None if size is None else min(size.width, size.height)
    tiers = (tier for tier in draft.capabilities.resolutions if _SHORT_SIDES[tier] == short)
    tier = next(tiers, None)
    if tier is not None:
        draft.resolved["resolution"] = tier
        draft.note("resolution", None, tier, "not given; frames have the shape of the image")


def _resolve_continued(draft: NegotiationDraft, source: Size) -> None:
    """Continue a video in its own size, or the nearest; a hosted model may charge by the size."""
    span = draft.capabilities.size_range
    wanted = source if span is None else _round_sides(source, span)
    used = find_nearest_size(wanted, draft.capabilities)
    of_source = "the size of the source"
    reason = of_source if used == source else f"the nearest to {of_source}, {source}"
    draft.resolved["size"] = used
    draft.note("size", None, str(used), f"not given; {reason}")


def _round_sides(size: Size, span: SizeRange) -> Size:
    """Return a size rounded to the steps of a range: a shape a little off is better than larger."""
    step = math.lcm(span.multiple, 2)
    width, height = (max(1, round(side / step)) * step for side in (size.width, size.height))
    return _clamp(width, height)


def _resolve_shape(draft: NegotiationDraft, shape: Fraction) -> None:
    """Resolve the shape of what the caller brought, as large as the model's own default."""
    capabilities, own = draft.capabilities, draft.capabilities.default_size
    if own is not None:
        size = find_nearest_size(_fit_shape(own, shape, capabilities.size_range), capabilities)
        draft.resolved["size"] = size
        reason = "the model's default" if size == own else "the model's default in the shape given"
        draft.note("size", None, str(size), f"not given; {reason}")
    elif capabilities.aspect_ratios and not capabilities.sizes:
        ratios = {tuple(map(int, name.split(":"))): name for name in capabilities.aspect_ratios}
        ratio = min(ratios, key=lambda sides: abs(math.log(sides[0] / sides[1] / shape)))
        draft.resolved["aspect_ratio"] = ratios[ratio]
        draft.note("aspect_ratio", None, ratios[ratio], "not given; the nearest to the shape given")


def _fit_shape(own: Size, shape: Fraction, span: SizeRange | None) -> Size:
    """Return a size of about the area of another in a shape, in the steps of the model."""
    step = 2 if span is None else math.lcm(span.multiple, 2)
    height = max(step, round(math.sqrt(own.width * own.height / shape) / step) * step)
    return _clamp(max(step, round(height * shape / step) * step), height)


def _resolve_names(draft: NegotiationDraft) -> None:
    """Settle a tier and a ratio: passed on where both are known by name, else as pixels."""
    tier, ratio = draft.request.resolution, draft.request.aspect_ratio
    capabilities = draft.capabilities
    knows_tier = tier is None or tier in capabilities.resolutions
    if knows_tier and (ratio is None or ratio in capabilities.aspect_ratios):
        draft.resolved |= {"resolution": tier, "aspect_ratio": ratio}
        return
    asked = " ".join(str(name) for name in (tier, ratio) if name is not None)
    name = "aspect_ratio" if tier is None else "resolution"
    _resolve_pixels(draft, name, asked, _to_pixels(tier, ratio, capabilities))


def _resolve_pixels(draft: NegotiationDraft, name: str, asked: str, wanted: Size) -> None:
    used = find_nearest_size(wanted, draft.capabilities)
    draft.resolved["size"] = used
    _warn_of_shape(draft, used)
    if str(used) == asked:
        return
    if used == wanted:
        draft.note(name, asked, str(used), "in pixels")
    else:
        draft.change(
            name, asked, str(used), f"{draft.model} makes {_format_sizes(draft.capabilities)}"
        )


def _warn_of_shape(draft: NegotiationDraft, size: Size) -> None:
    """Warn where what the caller brought decides the shape, whatever size is asked."""
    if not draft.capabilities.image_sets_shape or draft.capabilities.aspect_ratios:
        return
    for medium in draft.request.inputs:
        if medium.role in _SHAPING:
            draft.warnings.append(
                f"the frames have the shape of the {_SHAPING[medium.role]}; {size} chooses only "
                "how large"
            )
            return


def find_nearest_size(wanted: Size, capabilities: Capabilities) -> Size:
    """Return the size the model makes whose shape is nearest, and of those the nearest in area."""
    if capabilities.sizes:
        sizes = {(size.width, size.height): size for size in capabilities.sizes}
        return sizes[_pick_nearest((wanted.width, wanted.height), sizes)]
    if capabilities.size_range is not None:
        return _fit_range(wanted, capabilities.size_range)
    return wanted


def _pick_nearest(wanted: tuple[float, float], sizes: Collection[_Sides]) -> _Sides:
    """Return the nearest size; shapes that look the same count as one."""
    across, down = wanted
    errors = {(w, h): abs(math.log(w * down / (h * across))) for w, h in sizes}
    tolerated = min(errors.values()) + _SAME_SHAPE
    alike = [size for size, error in errors.items() if error <= tolerated]
    return min(alike, key=lambda size: abs(math.log(size[0] * size[1] / (across * down))))


def _fit_range(wanted: Size, capabilities: SizeRange) -> Size:
    """Return the nearest size of a range: scaled with its shape first, then rounded."""
    step = math.lcm(capabilities.multiple, 2)
    low, high = capabilities.minimum, capabilities.maximum
    across = _list_multiples(low.width, high.width, step)
    down = _list_multiples(low.height, high.height, step)
    if wanted.width in across and wanted.height in down:
        return wanted
    ratio = wanted.width / wanted.height
    ratio = min(max(ratio, across[0] / down[-1]), across[-1] / down[0])
    height = min(max(wanted.height, down[0], across[0] / ratio), down[-1], across[-1] / ratio)
    scaled = height * ratio, height
    width, height = _pick_nearest(scaled, _list_around(scaled, across, down))
    return Size(width=width, height=height)


def _list_multiples(low: int, high: int, step: int) -> range:
    """Return the multiples of a step in a range, at least one."""
    first = -(-low // step) * step
    return range(first, max(first, high) + 1, step)


def _list_around(scaled: tuple[float, float], across: range, down: range) -> set[_Sides]:
    """Return sizes of about this shape: the shorter side some steps up and down, the other fitting.

    That many steps are enough to find a shape that looks the same, if there is one.
    """
    width, height = scaled
    if width > height:
        return {
            (w, h)
            for h in _list_near(height, down)
            for w in _list_neighbours(h * width / height, across)
        }
    return {
        (w, h)
        for w in _list_near(width, across)
        for h in _list_neighbours(w * height / width, down)
    }


def _list_near(side: float, sides: range) -> range:
    """Return the sides nearest to one."""
    place = round((side - sides[0]) / sides.step)
    return sides[max(0, place - _STEPS) : place + _STEPS + 1]


def _list_neighbours(side: float, sides: range) -> range:
    """Return the sides just below and above one."""
    place = math.floor((side - sides[0]) / sides.step)
    return sides[min(max(0, place), len(sides) - 1) : max(0, place + 1) + 1]


def _to_pixels(tier: ResolutionTier | None, ratio: str | None, capabilities: Capabilities) -> Size:
    """Return what a tier and a ratio mean in pixels; an absent one is the model's own."""
    own = capabilities.default_size or Size(width=1280, height=720)
    across, down = (
        (own.width, own.height) if ratio is None else (int(part) for part in ratio.split(":"))
    )
    short = min(own.width, own.height) if tier is None else _SHORT_SIDES[tier]
    scale = min(short / min(across, down), LARGEST_SIDE / max(across, down))
    return _clamp(across * scale, down * scale)


def _clamp(width: float, height: float) -> Size:
    """Return the nearest size that there is at all."""
    return Size(width=_round_even(width), height=_round_even(height))


def _round_even(side: float) -> int:
    return min(max(round(side / 2) * 2, SMALLEST_SIDE), LARGEST_SIDE)


def _format_sizes(capabilities: Capabilities) -> str:
    if capabilities.size_range is not None:
        span = capabilities.size_range
        return f"{span.minimum} to {span.maximum} in steps of {span.multiple}"
    return ", ".join(str(size) for size in capabilities.sizes)
