"""What a hosted model can do, in the words of this project; pure data, nothing is asked."""

from collections.abc import Mapping
from typing import Literal

from media_agent.backend.polled import DEADLINE
from media_agent_hosted.models.facts import Fixed, Follows, Frames, HostedModel, Seconds
from media_agent_hosted.models.priced_fields import PRICED_FIELDS
from media_agent_hosted.models.sizes import SHAPING, nominal_size
from media_agent_schemas.base import TriState
from media_agent_schemas.facts import OptionSpec, Verification, VerificationLevel
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode

_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")  # that an image may have


def describe(model: HostedModel | None, model_id: str, max_duration: float) -> dict[str, object]:
    """Return the facts for `Capabilities`; of a model that is not mapped only its page knows more.

    Its videos are taken to be `max_duration` seconds at most: unknown is not "any length".
    """
    return _unknown(model_id, max_duration) if model is None else _known(model)


def _known(model: HostedModel) -> dict[str, object]:
    facts = _facts_of_mode(model)
    sizes = facts["sizes"]
    assert isinstance(sizes, tuple)
    roles = (model.inputs, *(model.for_mode(mode).inputs for mode in model.by_mode))
    most = {role: each.most for inputs in roles for role, each in inputs.items()}
    moves = () if model.camera is None else tuple(model.camera.moves)
    modes = model.modes if model.by_mode else ()
    return {
        **facts,
        "description": model.description,
        "modes": model.modes,
        "by_mode": {mode: _facts_of_mode(model.for_mode(mode)) for mode in modes},
        "input_roles": model.roles,
        "max_inputs": most,
        "default_size": None if model.needs else sizes[0],
        "fps_values": model.rates.values,
        "default_fps": model.rates.default,
        "camera_moves": moves,
        "max_seed": model.max_seed,
        "max_prompt_characters": model.longest_prompt,
        "max_negative_prompt_characters": model.longest_negative_prompt,
        "extends": _extends(model),
        "continues_own": _continues_own(model),
        "options": (*model.options, _raw_fields(_reserved(model)), DEADLINE),
    }


def _facts_of_mode(model: HostedModel) -> dict[str, object]:
    """Return what may differ between the modes of a model."""
    sizes, source = _sizes(model), model.inputs.get(InputRole.SOURCE_VIDEO)
    return {
        "input_roles": tuple(model.inputs),
        "needs": model.needed,
        "sizes": sizes,
        "default_size": sizes[0],
        "image_sets_shape": model.sizes is None and not SHAPING.isdisjoint(model.inputs),
        "resolutions": tuple(tier.name for tier in model.tiers if tier.name is not None),
        "aspect_ratios": model.ratios,
        **_lengths(model),
        "max_source_duration": source.limits.most_seconds if source is not None else None,
        "negative_prompt": model.negative_prompt,
        "camera": model.camera is not None,
        "seed": model.seed,
        "audio": _audio(model),
        "max_n": model.max_n,
    }


def _audio(model: HostedModel) -> TriState | Literal["always"]:
    if model.always_audio:
        return "always"
    return "unknown" if model.may_lack_audio else model.audio_field is not None


def _sizes(model: HostedModel) -> tuple[Size, ...]:
    if model.sizes is not None:
        return model.sizes.values
    ratios = model.ratios or (_RATIOS if model.needs or model.needs_any else ("16:9",))
    return tuple(nominal_size(tier, ratio) for tier in model.tiers for ratio in ratios)


def _extends(model: HostedModel) -> bool:
    overlaps = isinstance(model.length, Frames) and model.length.overlap > 0
    return overlaps or VideoMode.VIDEO_EXTEND in model.by_mode


def _continues_own(model: HostedModel) -> bool:
    source = model.for_mode(VideoMode.VIDEO_EXTEND).inputs.get(InputRole.SOURCE_VIDEO)
    return source is not None and source.own


def _lengths(model: HostedModel) -> dict[str, object]:
    match model.length:
        case Seconds(seconds=values, default=default):
            return {"durations": values, "default_duration": default}
        case Fixed(frames=frames):
            seconds = frames / model.rates.default
            fixed = {"min_frames": frames, "max_frames": frames}
            return {"durations": (), **fixed, "default_duration": seconds}
        case Follows(least=least, most=most):
            return {"durations": (), "min_duration": least, "max_duration": most}
        case Frames(least=least, most=most, default=default, overlap=overlap) as length:
            rate = model.rates.default
            return {
                "durations": (),
                "min_frames": least - overlap,
                "max_frames": most - overlap,
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
    reserved = {**PRICED_FIELDS, "prompt": "prompt"}
    for each in (model, *map(model.for_mode, model.by_mode)):
        reserved |= _reserved_in_mode(each)
    outermost = {field.partition(".")[0]: instead for field, instead in reserved.items()}
    options = [*model.always, *(option.name for option in model.options)]
    return outermost | {name: f"option {name}" for name in options}


def _reserved_in_mode(model: HostedModel) -> dict[str, str]:
    written = {
        model.named("negative_prompt"): "negative_prompt" if model.negative_prompt else None,
        model.named("seed"): "seed" if model.seed else None,
        model.rates.field or "fps": "fps",
        model.audio_field or "audio": "audio",
        "size" if model.sizes is None else model.sizes.field: "size",
        "camera" if model.camera is None else model.camera.field: "camera"
        if model.camera
        else None,
    }
    renamed = {named: field for field, named in model.names.items()}
    inputs = {each.field: f"the input {role}" for role, each in model.inputs.items()}
    said = {field: instead for field, instead in written.items() if instead is not None}
    return {**renamed, **said, **inputs}
