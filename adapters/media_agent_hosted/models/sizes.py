"""Sizes, resolutions and aspect ratios of a hosted model; a provider chooses by tier and ratio."""

from functools import lru_cache

from media_agent_hosted.models.facts import HostedModel, Tier
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoRequest

SHAPING = frozenset({InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO})
"""The inputs whose shape the frames may have."""


def tier_of(request: VideoRequest, model: HostedModel) -> Tier:
    """Return the resolution that a negotiated request stands for, by name or by size."""
    for tier in model.tiers:
        if request.size is not None and min(request.size.width, request.size.height) == (
            tier.short_side
        ):
            return tier
        if request.resolution is not None and tier.name is request.resolution:
            return tier
    return model.tiers[0]


def ratio_of(request: VideoRequest, model: HostedModel) -> str | None:
    """Return the aspect ratio that a negotiated request stands for; None: not to be said."""
    if not model.ratios:
        return _ratio_of_input(request, model)
    if request.aspect_ratio is not None:
        return request.aspect_ratio
    if request.size is not None:
        tier = tier_of(request, model)
        named = {nominal_size(tier, ratio): ratio for ratio in model.ratios}
        return named.get(request.size)
    if model.needs or model.needs_any or request.inputs:
        return _ratio_of_input(request, model)
    return model.ratios[0]


def _ratio_of_input(request: VideoRequest, model: HostedModel) -> str | None:
    """Return what says that the frames are shaped as what goes in; None: nothing need say so."""
    shapes = any(medium.role in SHAPING for medium in request.inputs)
    return model.ratio_of_input if shapes else None


@lru_cache(maxsize=512)
def nominal_size(tier: Tier, ratio: str) -> Size:
    """Return the size that a tier and a ratio stand for; what comes may differ a little."""
    across, down = (int(part) for part in ratio.split(":"))
    scale = tier.short_side / min(across, down)
    return Size(width=round(across * scale / 2) * 2, height=round(down * scale / 2) * 2)
