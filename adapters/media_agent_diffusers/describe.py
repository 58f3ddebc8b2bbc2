"""What a model can do, from its folder alone."""

from collections.abc import Iterable

from media_agent_diffusers.families.family import SEVERAL, Task, Variant
from media_agent_diffusers.generating.windows import find_continuation
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.settings import NAME
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.facts import (
    FpsRange,
    ModeFacts,
    OptionSpec,
    SizeRange,
    Verification,
    VerificationLevel,
    Windows,
)
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode


def describe(model: str, folder: ModelFolder) -> Capabilities:
    """Return the capabilities of the model in a folder."""
    variant = folder.variant
    size, windows = _default_size(variant), _windows(variant)
    return Capabilities(
        backend=NAME,
        model=model,
        models=(model,),
        description=f"{variant.title}; {_name_weights(folder)} in {folder.path}",
        modes=tuple(task.mode for task in variant.tasks),
        by_mode={task.mode: _facts_of(task) for task in variant.tasks},
        input_roles=_input_roles(variant),
        max_inputs={role: 1 for role in _input_roles(variant) if role not in SEVERAL},
        sizes=tuple(Size(width=width, height=height) for width, height in variant.sizes),
        size_range=None if variant.sizes else _size_range(variant),
        default_size=size,
        fps_values=() if variant.fps_range else (variant.fps,),
        fps_range=_fps_range(variant),
        default_fps=variant.fps,
        min_frames=min(task.fewest_frames for task in variant.tasks),
        max_frames=variant.longest_frames,
        windows=windows,
        default_duration=variant.default_frames / variant.fps,
        frame_multiple=variant.frame_multiple,
        frame_offset=1,
        negative_prompt=variant.takes_negative_prompt,
        seed=True,
        audio=variant.makes_audio,
        cancel_rule=CancelRule.STOPS,
        resumable=windows is not None,
        streams=windows is not None,
        extends=any(task.mode is VideoMode.VIDEO_EXTEND for task in variant.tasks),
        resubmits=True,
        local=True,
        reads_urls=False,
        options=tuple(_options(variant)),
        verification=_verification(variant),
        only_by_name=variant.is_unknown,
        licence=variant.licence,
    )


def _name_weights(folder: ModelFolder) -> str:
    variant, gguf = folder.weights.variant, folder.weights.gguf
    said = [] if variant is None else [variant]
    said += [f"{name} from {file.path} in {file.kind}" for name, file in gguf.items()]
    return f"weights ({', '.join(said)})" if said else "weights"


def _facts_of(task: Task) -> ModeFacts:
    cut = {}
    if task.mode is VideoMode.VIDEO_EXTEND:  # what is made beyond the new frames is left out
        cut = {"frame_multiple": 1, "frame_offset": 0}
    return ModeFacts(
        input_roles=(*task.inputs, *task.optional),
        needs=task.inputs,
        min_frames=task.fewest_frames,
        **cut,
    )


def _input_roles(variant: Variant) -> tuple[InputRole, ...]:
    roles = (role for task in variant.tasks for role in (*task.inputs, *task.optional))
    return tuple(dict.fromkeys(roles))


def _options(variant: Variant) -> Iterable[OptionSpec]:
    """Return the options of all tasks, each once; without a default where tasks differ in it."""
    merged: dict[str, OptionSpec] = {}
    for spec in (spec for task in variant.tasks for spec in variant.options_of(task)):
        known = merged.setdefault(spec.name, spec)
        if known.default != spec.default:
            merged[spec.name] = known.model_copy(update={"default": None})
    return merged.values()


def _verification(variant: Variant) -> Verification:
    if variant.is_unknown:
        note = f"never tried; as {variant.source} says"
        return Verification(level=VerificationLevel.SHEET_ONLY, note=note)
    return Verification(
        level=VerificationLevel.TINY_WEIGHTS,
        note="pipelines of this family with tiny random weights; real ones were not tried; "
        f"defaults from {variant.source}",
    )


def _fps_range(variant: Variant) -> FpsRange | None:
    if variant.fps_range is None:
        return None
    slowest, fastest = variant.fps_range
    return FpsRange(minimum=slowest, maximum=fastest)


def _windows(variant: Variant) -> Windows | None:
    """Return how the model continues its own videos, None if it does not."""
    continued = [each for each in variant.tasks if find_continuation(variant, each) is not None]
    if not continued:
        return None
    extend = find_continuation(variant, continued[0]) or continued[0]
    return Windows(
        modes=tuple(each.mode for each in continued),
        first_frames=variant.default_frames,
        further_frames=variant.default_frames - extend.history,
    )


def _size_range(variant: Variant) -> SizeRange:
    multiple = variant.size_multiple
    width, height = (side // multiple * multiple for side in variant.largest)
    least = max(16, multiple)
    return SizeRange(
        minimum=Size(width=least, height=least),
        maximum=Size(width=width, height=height),
        multiple=multiple,
    )


def _default_size(variant: Variant) -> Size:
    multiple = 1 if variant.sizes else variant.size_multiple
    width, height = (max(1, round(side / multiple)) * multiple for side in variant.size)
    return Size(width=width, height=height)
