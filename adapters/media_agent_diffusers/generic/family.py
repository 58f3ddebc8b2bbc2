"""Pipelines of the installed diffusers that have no family here: what can be known of them.

That is the signature of their call, with the defaults in it. Which lengths and sizes a model makes,
its rate and its licence are unknown; every video says so.
"""

import math
from dataclasses import dataclass

from media_agent_diffusers.families.family import Call, Family, Task, Variant, common_arguments
from media_agent_diffusers.files import ModelFiles
from media_agent_diffusers.generic.library import Plain, Signature, read_signature
from media_agent_schemas.capabilities import FALLBACK_FPS
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_FRAMES = ("num_frames", "frames", "video_length")
_RATES = ("fps", "frame_rate")
_INPUTS = {
    "image": InputRole.FIRST_FRAME,
    "last_image": InputRole.LAST_FRAME,
    "video": InputRole.SOURCE_VIDEO,
}
_NEVER_GIVEN = ("conditioning_frames",)
"""Inputs that are needed in spite of their default, and that media-agent has no role for."""
_GIVEN = ("prompt", *_INPUTS)
_NO_OPTIONS = (
    *("prompt", "negative_prompt", "width", "height", *_INPUTS, *_FRAMES, *_RATES),
    *("output_type", "return_dict", "max_sequence_length", "use_resolution_binning"),
    *("num_videos_per_prompt", "num_images_per_prompt", "callback_steps"),
)
_SPATIAL = ("scale_factor_spatial", "spatial_compression_ratio")
_FEW_FRAMES, _SIDE, _TOKENS = 16, 512, 512  # where the signature has no default
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


class NoVideoPipelineError(Exception):
    """A pipeline of diffusers cannot be used; the message says why."""


def find_generic(pipeline: str) -> Family | None:
    """Return a family for a pipeline that has none, None if diffusers has no such pipeline.

    Raises:
        NoVideoPipelineError: it makes no videos, or needs what cannot be given to it.
    """
    signature = read_signature(pipeline)
    if signature is None:
        return None
    if _find_name(signature, (*_FRAMES, "video")) is None:
        makes = "images" if "height" in signature else "no videos"
        raise NoVideoPipelineError(f"its pipeline {pipeline} makes {makes}")
    lacking = [name for name in signature.required if name not in (*_GIVEN, *_FRAMES)]
    lacking += [name for name in _NEVER_GIVEN if name in signature.defaults]
    if lacking:
        raise NoVideoPipelineError(f"its pipeline {pipeline} needs {', '.join(lacking)}")
    return Family((pipeline,), _Generic(pipeline, signature).read_variant, {}, components=("vae",))


@dataclass(frozen=True, slots=True)
class _Generic:
    """What the signature of a pipeline says."""

    pipeline: str
    signature: Signature

    def read_variant(self, files: ModelFiles) -> Variant:
        """Return what the model of a folder can do, as far as anybody can tell."""
        frames = self._read_number(*_FRAMES) or _FEW_FRAMES
        size = (self._read_number("width") or _SIDE, self._read_number("height") or _SIDE)
        return Variant(
            title=f"{self.pipeline}, which media-agent does not know: frames, sizes and rate are "
            "guessed",
            source=f"the signature of {self.pipeline} in the installed diffusers",
            tasks=tuple(self._list_tasks()),
            options=tuple(self._list_options()),
            frame_multiple=1,
            size_multiple=_find_multiple(files),
            size=size,
            fps=float(self._read_number(*_RATES) or FALLBACK_FPS),
            default_frames=frames,
            longest_frames=None,
            max_tokens=self._read_number("max_sequence_length") or _TOKENS,
            fps_range=(1.0, 120.0),
            reads_prompt="prompt" in self.signature,
            takes_negative_prompt="negative_prompt" in self.signature,
            negative_option="guidance_scale" if self._is_option("guidance_scale") else None,
            warning=f"media-agent does not know {self.pipeline}: it was called by its signature "
            "alone, and lengths, sizes and rates that suit it are unknown",
            is_unknown=True,
        )

    def _list_tasks(self) -> list[Task]:
        """Return the tasks that the inputs allow; all of them begin from what is needed."""
        needed = self._list_needed()
        modes = {
            (): VideoMode.TEXT_TO_VIDEO,
            ("image",): VideoMode.IMAGE_TO_VIDEO,
            ("image", "last_image"): VideoMode.FIRST_LAST_FRAME,
            ("video",): VideoMode.VIDEO_EDIT,
        }
        return [
            Task(
                mode,
                self.pipeline,
                inputs=tuple(_INPUTS[name] for name in inputs),
                arguments=self.make_arguments,
            )
            for inputs, mode in modes.items()
            if all(name in self.signature for name in inputs)
            and all(name in inputs for name in needed)
            and ("video" not in inputs or "video" in needed)
        ]

    def _list_needed(self) -> list[str]:
        """Return the inputs without a default, and a video where nothing else makes frames.

        Pipelines that change a video often have a default of None for it, and break with it.
        """
        needed = [name for name in _INPUTS if name in self.signature.required]
        makes_frames = _find_name(self.signature, _FRAMES) and "prompt" in self.signature
        if "video" in self.signature.defaults and not makes_frames:
            needed.append("video")
        return needed

    def _list_options(self) -> list[OptionSpec]:
        return [
            OptionSpec(
                name=name,
                type=_TYPES[type(value)],
                default=value,
                description="As the documentation of the pipeline says.",
            )
            for name, value in self.signature.defaults.items()
            if self._is_option(name)
        ]

    def _is_option(self, name: str) -> bool:
        value = self.signature.defaults.get(name)
        return value is not None and name not in _NO_OPTIONS

    def _read_number(self, *names: str) -> int | None:
        for name in names:
            value: Plain = self.signature.defaults.get(name)
            if isinstance(value, int | float) and value > 0:
                return int(value)
        return None

    def make_arguments(self, call: Call) -> dict[str, object]:
        """Return what the signature takes; a size stays as it was asked."""
        frames = _find_name(self.signature, _FRAMES)
        rate = _find_name(self.signature, _RATES)
        arguments = common_arguments(call)
        if frames is not None:
            arguments[frames] = call.num_frames
        if rate is not None:
            arguments[rate] = call.fps
        arguments["use_resolution_binning"] = False
        return {
            name: value
            for name, value in arguments.items()
            if name in self.signature and value is not None
        }


def _find_multiple(files: ModelFiles) -> int:
    """Return what both sides are multiples of, as far as the configs say: 16 at least."""
    vae = files.configs["vae"]
    known = next((key for key in _SPATIAL if isinstance(vae.get(key), int)), None)
    blocks = vae.get("block_out_channels")
    doublings = len(blocks) - 1 if isinstance(blocks, list) and blocks else 3
    factor = files.whole_number("vae", known, 8) if known else 2**doublings
    denoiser = next((each for each in ("transformer", "unet") if each in files.configs), None)
    patch = files.whole_number(denoiser, "patch_size", 1) if denoiser else 1
    return math.lcm(16, factor * patch)


def _find_name(signature: Signature, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in signature), None)
