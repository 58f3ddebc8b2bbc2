"""What fal's models can do, in the words of this project; pure data, nothing is asked."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from media_agent.backend.polled import DEADLINE
from media_agent.errors import InvalidRequestError
from media_agent_hosted.base.priced_fields import PRICED_FIELDS
from media_agent_hosted.providers.fal.models import FalModel, Fixed, Frames, Seconds, Tier, models
from media_agent_schemas.capabilities import (
    Capabilities,
    OptionSpec,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoRequest

NAME = "fal"
USUAL_SECONDS = 5.0  # of a film by a model that is not mapped
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_VERIFICATION = Verification(
    level=VerificationLevel.SIMULATOR, note="against a simulator of the documented queue"
)


def checked_id(model: str | None) -> str:
    """Return the id of a model, the default one for None; any id of fal's form is taken.

    Raises:
        InvalidRequestError: it cannot be an id; the nearest known one is said.
    """
    if model is None:
        return next(iter(models()))
    if _ID.fullmatch(model) is None:
        near = [each for each in models() if len(model) > 2 and model in each]
        near = near or get_close_matches(model, models(), n=1, cutoff=0.3)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InvalidRequestError(
            f"fal has no model {model!r}", hint=f"{meant}ids look like owner/name or longer"
        )
    return model


def describe_model(
    model_id: str, missing: str | None, *, max_duration: float = USUAL_SECONDS
) -> Capabilities:
    """Say what a model can do; of one that is not mapped nobody knows but its own page.

    Its films are taken to be `max_duration` seconds at most: unknown is not "any length".
    """
    model = models().get(model_id)
    facts = _facts(model) if model is not None else _unknown(model_id, max_duration)
    return Capabilities.model_validate(
        {
            "backend": NAME,
            "model": model_id,
            "models": tuple(models()),
            "cancels": "unknown",  # while it waits; work that has begun usually goes on
            "lookup": "none",  # no key is honoured, and lists show what has ended only
            "verification": _VERIFICATION,
            "missing": missing,
            **facts,
        }
    )


def overlap_of(model: FalModel) -> int:
    """Return the frames that a continued film does not get longer by."""
    return model.length.overlap if isinstance(model.length, Frames) else 0


def tier_of(request: VideoRequest, model: FalModel) -> Tier:
    """Return the resolution that a negotiated request stands for, by name or by size."""
    for tier in model.tiers:
        if request.size is not None and min(request.size.width, request.size.height) == (
            tier.short_side
        ):
            return tier
        if request.resolution is not None and tier.name is request.resolution:
            return tier
    return model.tiers[0]


def ratio_of(request: VideoRequest, model: FalModel) -> str | None:
    """Return the aspect ratio that a negotiated request stands for; None: not to be said."""
    if not model.ratios:
        return None
    if request.aspect_ratio is not None:
        return request.aspect_ratio
    if request.size is not None:
        tier = tier_of(request, model)
        named = {nominal_size(tier, ratio): ratio for ratio in model.ratios}
        return named.get(request.size)
    return None if model.needs else model.ratios[0]


def nominal_size(tier: Tier, ratio: str) -> Size:
    """Return the size that a tier and a ratio stand for; what comes may differ a little."""
    across, down = (int(part) for part in ratio.split(":"))
    scale = tier.short_side / min(across, down)
    return Size(width=round(across * scale / 2) * 2, height=round(down * scale / 2) * 2)


def _facts(model: FalModel) -> dict[str, object]:
    ratios = model.ratios or (("16:9", "9:16", "1:1", "4:3", "3:4") if model.needs else ("16:9",))
    sizes = tuple(nominal_size(tier, ratio) for tier in model.tiers for ratio in ratios)
    return {
        "description": model.description,
        "modes": model.modes,
        "input_roles": tuple(model.inputs),
        "sizes": sizes,
        "default_size": None if model.needs else sizes[0],
        "resolutions": tuple(tier.name for tier in model.tiers if tier.name is not None),
        "aspect_ratios": model.ratios,
        "fps_values": model.rates.values,
        "default_fps": model.rates.default,
        **_lengths(model),
        "negative_prompt": model.negative_prompt,
        "seed": model.seed,
        "audio": model.audio_field is not None,
        "extends": bool(overlap_of(model)),
        "options": (*model.options, _input(_reserved(model)), DEADLINE),
    }


def _input(reserved: Mapping[str, str]) -> OptionSpec:
    """Return the option with further fields; `reserved` are said elsewhere."""
    return OptionSpec(
        name="input",
        type="string",
        description="More fields of the model, as a JSON object; with them the price is unknown, "
        "and what the request or another option says is refused.",
        reserved=dict(reserved),
    )


def _reserved(model: FalModel) -> dict[str, str]:
    """Return the fields that are written from a request, or named options: what is priced."""
    written = {
        "negative_prompt": "negative_prompt" if model.negative_prompt else None,
        "seed": "seed" if model.seed else None,
        model.rates.field or "fps": "fps",
        model.audio_field or "audio": "audio",
    }
    named = [option.name for option in model.options]
    return {
        **PRICED_FIELDS,
        "prompt": "prompt",
        **{field: instead for field, instead in written.items() if instead is not None},
        **{field: f"the input {role}" for role, field in model.inputs.items()},
        **{name: f"option {name}" for name in (*model.always, *named)},
    }


def _lengths(model: FalModel) -> dict[str, object]:
    match model.length:
        case Seconds(seconds=values, default=default):
            return {"durations": values, "default_duration": default}
        case Fixed(frames=frames):
            seconds = frames / model.rates.default
            return {"durations": (seconds,), "default_duration": seconds}
        case Frames(least=least, most=most, default=default, overlap=overlap) as length:
            rate = model.rates.default
            return {
                "min_duration": (least - overlap) / rate,
                "max_duration": (most - overlap) / rate,
                "default_duration": (default - overlap) / rate,
                "frame_multiple": length.multiple,
                "frame_offset": length.offset,
            }


def _unknown(model_id: str, max_duration: float) -> dict[str, object]:
    return {
        "description": "not mapped: it gets prompt and seed, all else as option input; "
        f"{max_duration:g} s at once unless max_duration says more",
        "max_duration": max_duration,
        "seed": "unknown",
        "verification": Verification(
            level=VerificationLevel.SHEET_ONLY, note=f"the fields of {model_id} are not known here"
        ),
        "options": (_input({"prompt": "prompt", "seed": "seed"}), DEADLINE),
    }
