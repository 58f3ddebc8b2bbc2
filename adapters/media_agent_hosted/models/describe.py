"""What a hosted model can do, in the words of this project; pure data, nothing is asked."""

from collections.abc import Mapping

from media_agent.backend.polled import DEADLINE
from media_agent_hosted.models.facts import Fixed, Frames, HostedModel, Seconds
from media_agent_hosted.models.priced_fields import PRICED_FIELDS
from media_agent_hosted.models.sizes import nominal_size
from media_agent_schemas.capabilities import OptionSpec, Verification, VerificationLevel
from media_agent_schemas.media import InputRole

_SHAPING = {InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO}
_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")  # that an image may have


def describe(model: HostedModel | None, model_id: str, max_duration: float) -> dict[str, object]:
    """Return the facts for `Capabilities`; of a model that is not mapped only its page knows more.

    Its videos are taken to be `max_duration` seconds at most: unknown is not "any length".
    """
    return _unknown(model_id, max_duration) if model is None else _known(model)


def _known(model: HostedModel) -> dict[str, object]:
    ratios = model.ratios or (_RATIOS if model.needs else ("16:9",))
    sizes = tuple(nominal_size(tier, ratio) for tier in model.tiers for ratio in ratios)
    return {
        "description": model.description,
        "modes": model.modes,
        "input_roles": tuple(model.inputs),
        "sizes": sizes,
        "default_size": None if model.needs else sizes[0],
        "image_sets_shape": not _SHAPING.isdisjoint(model.inputs),
        "resolutions": tuple(tier.name for tier in model.tiers if tier.name is not None),
        "aspect_ratios": model.ratios,
        "fps_values": model.rates.values,
        "default_fps": model.rates.default,
        **_lengths(model),
        "negative_prompt": model.negative_prompt,
        "seed": model.seed,
        "audio": "always" if model.always_audio else model.audio_field is not None,
        "extends": isinstance(model.length, Frames) and model.length.overlap > 0,
        "options": (*model.options, _raw_fields(_reserved(model)), DEADLINE),
    }


def _lengths(model: HostedModel) -> dict[str, object]:
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
        "options": (_raw_fields({"prompt": "prompt", "seed": "seed"}), DEADLINE),
    }


def _raw_fields(reserved: Mapping[str, str]) -> OptionSpec:
    """Return the option with further fields; `reserved` are said elsewhere."""
    return OptionSpec(
        name="input",
        type="string",
        description="More fields of the model, as a JSON object; with them the price is unknown, "
        "and what the request or another option says is refused.",
        reserved=dict(reserved),
    )


def _reserved(model: HostedModel) -> dict[str, str]:
    """Return the fields that are written from a request, or named options: what is priced."""
    written = {
        model.named("negative_prompt"): "negative_prompt" if model.negative_prompt else None,
        model.named("seed"): "seed" if model.seed else None,
        model.rates.field or "fps": "fps",
        model.audio_field or "audio": "audio",
    }
    renamed = {named: field for field, named in model.names.items()}
    inputs = {field: f"the input {role}" for role, field in model.inputs.items()}
    options = [*model.always, *(option.name for option in model.options)]
    reserved = {
        **PRICED_FIELDS,
        "prompt": "prompt",
        **renamed,
        **{field: instead for field, instead in written.items() if instead is not None},
        **inputs,
    }
    outermost = {field.partition(".")[0]: instead for field, instead in reserved.items()}
    return outermost | {name: f"option {name}" for name in options}
