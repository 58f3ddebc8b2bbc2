"""What a backend that is declared in the settings says about itself: its facts, its placeholders.

Which fields of a request it takes is read from the placeholders it uses: `{seed}` somewhere means
that it takes a seed. What it leaves out must be fixed, so that nothing is dropped silently.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from media_agent.errors import InvalidRequestError
from media_agent.suggest import did_you_mean
from media_agent_schemas.base import Schema, Seconds
from media_agent_schemas.capabilities import (
    FALLBACK_FPS,
    FALLBACK_SECONDS,
    CancelRule,
    Capabilities,
)
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.facts import (
    FpsRange,
    ModeFacts,
    SizeRange,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.media import InputRole, MediaInput, Size
from media_agent_schemas.request import VideoMode, VideoRequest

PLACEHOLDERS = {
    "prompt": "what the video shows",
    "negative_prompt": "what it should not show",
    "seed": "a whole number from 0",
    "duration": "seconds",
    "num_frames": "frames in the video",
    "fps": "frames per second",
    "width": "pixels",
    "height": "pixels",
    "first_frame": "the first frame: a file, or a data: URL",
    "model": "the name of the model",
}
"""The placeholders that every declared backend may use, and what takes their place."""

_PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_][\w-]*)\}")  # ${NAME} is for a shell
_DEFAULT_SIZE = Size(width=1280, height=720)
_FASTEST = 120.0  # frames per second

SizeText = Annotated[
    Size, BeforeValidator(lambda value: Size.parse(value) if isinstance(value, str) else value)
]


class Declaration(Schema):
    """The facts in the options of a declared backend; absent ones follow from its placeholders."""

    model_config = ConfigDict(hide_input_in_errors=True)

    description: str = Field(default="", description="One line for a list.")
    sizes: tuple[SizeText, ...] = Field(
        default=(), description='Frame sizes, "WIDTHxHEIGHT", first: own.'
    )
    fps: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        default=(), description="Frame rates, first: its own."
    )
    durations: tuple[Seconds, ...] = Field(
        default=(), description="Lengths in seconds, first: its own."
    )
    max_duration: Seconds | None = Field(default=None, description="Maximum length in seconds.")
    max_frames: int | None = Field(
        default=None,
        ge=1,
        description="Most frames, where they are the limit at any rate.",
    )
    max_prompt_characters: int | None = Field(
        default=None, ge=1, description="Maximum length of a prompt, in characters."
    )
    usd_per_second: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Price of a second of video."
    )
    usd_per_video: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Price of a video, whatever its length.",
    )
    needs_first_frame: bool = Field(default=False, description="Requires a first frame.")
    licence: str | None = Field(default=None, description="Licence of the model.")

    def list_templates(self) -> Iterator[str]:
        """Yield every text in which a placeholder of the request may stand."""
        yield from ()

    def list_own_placeholders(self) -> Iterable[str]:
        """Return the placeholders that only this kind of backend knows."""
        return ()

    def find_used_placeholders(self) -> set[str]:
        """Return the placeholders that are used somewhere."""
        return {name for text in self.list_templates() for name in find_placeholders(text)}

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        used = self.find_used_placeholders()
        known = [*PLACEHOLDERS, *self.list_own_placeholders()]
        for name in sorted(used.difference(known)):
            raise ValueError(f"there is no placeholder {{{name}}}; {did_you_mean(name, known)}")
        if not used & {"prompt", "prompt_file"}:
            raise ValueError("the prompt is not used: put {prompt} somewhere")
        if not {"width", "height"} <= used and len(self.sizes) != 1:
            raise ValueError('without {width} and {height}, give its one size: sizes = ["640x360"]')
        if "fps" not in used and len(self.fps) != 1:
            raise ValueError("without {fps}, give its one frame rate: fps = [24]")
        if not used & {"duration", "num_frames"} and len(self.durations) != 1:
            raise ValueError(
                "without {duration} or {num_frames}, give its one length: durations = [5]"
            )
        if self.needs_first_frame and "first_frame" not in used:
            raise ValueError("needs_first_frame is set, but {first_frame} is used nowhere")
        return self

    def capabilities(self, kind: str, name: str, model: str) -> Capabilities:
        """Return the facts as every backend says them."""
        used = self.find_used_placeholders()
        takes_image = "first_frame" in used
        return Capabilities(
            backend=name,
            kind=kind,
            model=model,
            models=(model,),
            description=self.description,
            modes=tuple(self._list_modes(takes_image)),
            input_roles=(InputRole.FIRST_FRAME,) if takes_image else (),
            by_mode={VideoMode.IMAGE_TO_VIDEO: _FROM_IMAGE} if takes_image else {},
            max_inputs={InputRole.FIRST_FRAME: 1} if takes_image else {},
            sizes=self.sizes,
            size_range=None if self.sizes else _ANY_SIZE,
            default_size=self.sizes[0] if self.sizes else _DEFAULT_SIZE,
            fps_values=self.fps,
            fps_range=None if self.fps else FpsRange(minimum=1, maximum=_FASTEST),
            default_fps=self.fps[0] if self.fps else FALLBACK_FPS,
            durations=self.durations,
            max_duration=max(self.durations) if self.durations else self.max_duration,
            max_frames=self.max_frames,
            default_duration=self._default_duration(),
            max_prompt_characters=self.max_prompt_characters,
            negative_prompt="negative_prompt" in used,
            seed="seed" in used,
            cancel_rule=CancelRule.STOPS,
            verification=Verification(
                level=VerificationLevel.SHEET_ONLY, note="declared in the settings by its user"
            ),
            licence=self.licence,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the price that the declaration says; None where it says none."""
        return estimate_declared(request.seconds(), self.usd_per_second, self.usd_per_video)

    def _list_modes(self, takes_image: bool) -> Iterator[VideoMode]:
        if not self.needs_first_frame:
            yield VideoMode.TEXT_TO_VIDEO
        if takes_image:
            yield VideoMode.IMAGE_TO_VIDEO

    def _default_duration(self) -> float:
        if self.durations:
            return self.durations[0]
        longest = self.max_duration
        return FALLBACK_SECONDS if longest is None else min(FALLBACK_SECONDS, longest)


_FROM_IMAGE = ModeFacts(needs=(InputRole.FIRST_FRAME,))
_ANY_SIZE = SizeRange(
    minimum=Size(width=16, height=16), maximum=Size(width=8192, height=8192), multiple=2
)


def find_first_frame(request: VideoRequest) -> MediaInput | None:
    """Return the image that a video starts from; None: it starts from text.

    Raises:
        InvalidRequestError: there are several, or none where one is due.
    """
    given, mode = request.inputs, request.infer_mode()
    if len(given) > 1 or (not given and mode is VideoMode.IMAGE_TO_VIDEO):
        raise InvalidRequestError(
            f"{mode} starts from one first_frame; given: {len(given) or 'none'}",
            hint="give one image",
        )
    return given[0] if given else None


def placeholder_values(request: VideoRequest, model: str) -> dict[str, JsonValue]:
    """Return what takes the place of the placeholders, but for the image; None: not given."""
    size = request.size
    fps, seconds = request.fps, request.seconds()
    return {
        "prompt": request.storyboard()[0].prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "duration": _drop_point(seconds),
        "num_frames": request.num_frames,
        "fps": _drop_point(fps),
        "width": None if size is None else size.width,
        "height": None if size is None else size.height,
        "model": model,
    }


def find_placeholders(template: str) -> list[str]:
    """Return the names of the placeholders in a text, known or not."""
    return _PLACEHOLDER.findall(template)


def fill(template: str, values: Mapping[str, JsonValue]) -> str | None:
    """Return a text with each placeholder replaced; None if one of them has no value.

    It is done in one pass: a placeholder in a prompt is text like any other.
    """
    if any(values[name] is None for name in find_placeholders(template)):
        return None
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), template)


def find_sole_placeholder(template: str) -> str | None:
    """Return the name of the placeholder that a text consists of, None if there is more to it."""
    match = _PLACEHOLDER.fullmatch(template)
    return None if match is None else match[1]


def _drop_point(number: float | None) -> float | int | None:
    """Return a whole number without its point, as programs and services expect it."""
    if number is None or number != int(number):
        return number
    return int(number)


def estimate_declared(
    seconds: float | None, usd_per_second: float | None, usd_per_video: float | None
) -> Estimate:
    """Return the price of so many seconds of video as the settings say it; unknown without one."""
    if usd_per_video is None and usd_per_second is None:
        return Estimate()
    if usd_per_second and seconds is None:
        return Estimate()
    cost = (usd_per_video or 0.0) + (usd_per_second or 0.0) * (seconds or 0.0)
    return Estimate(cost_usd=cost, source="the settings")
