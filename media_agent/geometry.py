"""Which frame size is used: the asked one, or the nearest that the model can make."""

import math

from media_agent.draft import Draft
from media_agent_schemas.capabilities import Capabilities, SizeRange
from media_agent_schemas.media import ResolutionTier, Size
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


def short_side_of(tier: ResolutionTier) -> int:
    """Return the shorter side that a tier stands for, in pixels."""
    return _SHORT_SIDES[tier]


def short_side(request: VideoRequest) -> int | None:
    """Return the shorter side of the frames asked, in pixels, None where it is left open."""
    if request.size is not None:
        return min(request.size.width, request.size.height)
    return None if request.resolution is None else _SHORT_SIDES[request.resolution]


def settle_size(draft: Draft) -> None:
    """Settle size, resolution and aspect ratio."""
    request, limits = draft.request, draft.capabilities
    if request.size is not None:
        _settle_pixels(draft, "size", str(request.size), request.size)
    elif request.resolution is not None or request.aspect_ratio is not None:
        _settle_names(draft)
    elif limits.default_size is not None:
        draft.settled["size"] = limits.default_size
        draft.note("size", None, str(limits.default_size), "not given; the model's own size")


def _settle_names(draft: Draft) -> None:
    """Settle a tier and a ratio: passed on where both are known by name, else as pixels."""
    tier, ratio = draft.request.resolution, draft.request.aspect_ratio
    limits = draft.capabilities
    knows_tier = tier is None or tier in limits.resolutions
    if knows_tier and (ratio is None or ratio in limits.aspect_ratios):
        draft.settled |= {"resolution": tier, "aspect_ratio": ratio}
        return
    asked = " ".join(str(name) for name in (tier, ratio) if name is not None)
    name = "aspect_ratio" if tier is None else "resolution"
    _settle_pixels(draft, name, asked, _nominal(tier, ratio, limits))


def _settle_pixels(draft: Draft, name: str, asked: str, wanted: Size) -> None:
    used = nearest_size(wanted, draft.capabilities)
    draft.settled["size"] = used
    if str(used) == asked:
        return
    if used == wanted:
        draft.note(name, asked, str(used), "in pixels")
    else:
        draft.change(name, asked, str(used), f"{draft.model} makes {_sizes(draft.capabilities)}")


def nearest_size(wanted: Size, limits: Capabilities) -> Size:
    """Return the size the model makes that is nearest in shape, and among those in area."""
    if limits.sizes:
        return min(limits.sizes, key=lambda size: _distance(size, wanted))
    if limits.size_range is not None:
        return _within(wanted, limits.size_range)
    return wanted


def _within(wanted: Size, limits: SizeRange) -> Size:
    """Scale into the range with the shape kept, then round each side to the multiple."""
    smallest, largest, step = limits.minimum, limits.maximum, limits.multiple
    if _fits(wanted, limits):
        return wanted
    grow = max(smallest.width / wanted.width, smallest.height / wanted.height)
    shrink = min(largest.width / wanted.width, largest.height / wanted.height)
    scale = min(max(1.0, grow), shrink)  # where both cannot be had, the larger side decides

    def sides(asked: int, low: int, high: int) -> tuple[int, ...]:
        floor, ceiling = math.ceil(low / step) * step, high // step * step
        exact = asked * scale / step
        near = (math.floor(exact) * step, math.ceil(exact) * step)
        return tuple(min(max(side, floor), ceiling) for side in near)

    return min(
        (
            Size(width=width, height=height)
            for width in sides(wanted.width, smallest.width, largest.width)
            for height in sides(wanted.height, smallest.height, largest.height)
        ),
        key=lambda size: (
            abs(math.log(size.width * wanted.height / (size.height * wanted.width)))
            + abs(math.log(size.width * size.height / (wanted.width * wanted.height * scale**2)))
        ),
    )


def _fits(size: Size, limits: SizeRange) -> bool:
    low, high, step = limits.minimum, limits.maximum, limits.multiple
    return (
        low.width <= size.width <= high.width
        and low.height <= size.height <= high.height
        and size.width % step == size.height % step == 0
    )


_SAME_SHAPE = 0.06  # of a side: 854x480 and 848x480 are one shape, 16:9 and 3:2 are two


def _distance(size: Size, wanted: Size) -> tuple[int, float]:
    """Return how far off a size is: first in shape, in steps of what nobody sees, then in all."""
    across, down = math.log(size.width / wanted.width), math.log(size.height / wanted.height)
    return round(abs(across - down) / _SAME_SHAPE), math.hypot(across, down)


def _nominal(tier: ResolutionTier | None, ratio: str | None, limits: Capabilities) -> Size:
    """Return what a tier and a ratio mean in pixels; an absent one is the model's own."""
    own = limits.default_size or Size(width=1280, height=720)
    across, down = (
        (own.width, own.height) if ratio is None else (int(part) for part in ratio.split(":"))
    )
    short = min(own.width, own.height) if tier is None else _SHORT_SIDES[tier]
    scale = short / min(across, down)
    return Size(width=_even(across * scale), height=_even(down * scale))


def _even(side: float) -> int:
    return min(max(round(side / 2) * 2, 16), 8192)


def _sizes(limits: Capabilities) -> str:
    if limits.size_range is not None:
        span = limits.size_range
        return f"{span.minimum} to {span.maximum} in steps of {span.multiple}"
    return ", ".join(str(size) for size in limits.sizes)
