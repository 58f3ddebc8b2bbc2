"""What a caller asks for."""

import json
import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from media_agent_schemas.base import Asked, Document, OnlyNumbers, Seconds
from media_agent_schemas.media import CameraMove, InputRole, MediaInput, ResolutionTier, Size

LONGEST_PROMPT_BYTES = 100_000
LARGEST_SEED = 2**63 - 1
LONGEST_SECONDS = 1e7  # four months; longer is a slip, and endless needs no length
LONGEST_VISIBLE_LABEL = 60  # letters
MOST_FRAMES = 10**10  # of the longest video at the highest frame rate


def _check_prompt(prompt: str) -> str:
    if not prompt.strip():
        raise ValueError("prompt is empty; describe what the video shows")
    size = len(prompt.encode("utf-8", "surrogatepass"))
    if size > LONGEST_PROMPT_BYTES:
        raise ValueError(f"prompt has {size} bytes; the limit is {LONGEST_PROMPT_BYTES}")
    if "\0" in prompt:
        raise ValueError(f"prompt has a NUL character at position {prompt.index(chr(0))}")
    return prompt


def _check_text(text: str) -> str:
    """Return a text whose every letter can be stored; a pair of surrogates is one character."""
    if text.isascii():
        return text
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    for position, letter in enumerate(text):
        if "\ud800" <= letter <= "\udfff":
            raise ValueError(
                f"it is not valid text: half a character (U+{ord(letter):04X}) at position "
                f"{position}, or bytes that are not UTF-8"
            )
    return text


def _check_seconds(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError(f"duration {seconds} is not a finite number of seconds")
    if seconds <= 0:
        raise ValueError(f"duration {seconds:g} s is not above zero")
    if seconds > LONGEST_SECONDS:
        raise ValueError(
            f"duration {seconds:g} s is more than {LONGEST_SECONDS:g} s; ask for endless"
        )
    return seconds


def _check_seed(seed: int) -> int:
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed {seed} is not within 0 to {LARGEST_SEED} (2^63-1)")
    return seed


def _check_fps(fps: float) -> float:
    if not math.isfinite(fps) or not 0 < fps <= 1000:
        raise ValueError(f"fps {fps:g} is not above 0 and at most 1000")
    return fps


def _check_frames(frames: int) -> int:
    if frames < 1:
        raise ValueError(f"num_frames {frames} is less than one frame")
    if frames > MOST_FRAMES:
        raise ValueError(f"num_frames is more than {MOST_FRAMES}; ask for endless")
    return frames


def _check_visible_label(label: str) -> str:
    if len(label) > LONGEST_VISIBLE_LABEL or not label.isprintable() or not label.strip():
        raise ValueError(
            f"visible_label {label!r:.80} is not one line of 1 to {LONGEST_VISIBLE_LABEL} letters"
        )
    return label.strip()


def _check_options(options: dict[str, dict[str, JsonValue]]) -> dict[str, dict[str, JsonValue]]:
    """Return options all of whose texts can be stored, as `_check_text` returns one."""
    checked: dict[str, dict[str, JsonValue]] = json.loads(
        _check_text(json.dumps(options, ensure_ascii=False))
    )
    return checked


Text = Annotated[str, AfterValidator(_check_text)]
Prompt = Annotated[Text, AfterValidator(_check_prompt)]
Duration = Annotated[float, Field(allow_inf_nan=True), AfterValidator(_check_seconds), OnlyNumbers]
Seed = Annotated[int, AfterValidator(_check_seed), OnlyNumbers]
FramesPerSecond = Annotated[
    float, Field(allow_inf_nan=True), AfterValidator(_check_fps), OnlyNumbers
]
FrameCount = Annotated[int, AfterValidator(_check_frames), OnlyNumbers]


VisibleLabel = Annotated[Text, AfterValidator(_check_visible_label)]
Watermark = Literal["encoded", "all"]


class VideoMode(StrEnum):
    """What kind of work a request is; inferred from its inputs if not given."""

    TEXT_TO_VIDEO = "text_to_video"
    IMAGE_TO_VIDEO = "image_to_video"
    FIRST_LAST_FRAME = "first_last_frame"
    REFERENCE_TO_VIDEO = "reference_to_video"
    VIDEO_EDIT = "video_edit"
    VIDEO_EXTEND = "video_extend"


class Shot(Asked):
    """A part of the video with one prompt."""

    prompt: Prompt = Field(description="What this shot shows.")
    duration: Duration | None = Field(
        default=None, description="Length in seconds; default: the remaining time."
    )


class Budget(Asked):
    """What the caller is willing to spend."""

    max_cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False), OnlyNumbers] | None = Field(
        default=None, description="Maximum cost in USD."
    )


class RoutingPreference(StrEnum):
    """How to rank the backends that can serve a request."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    LOCAL_FIRST = "local-first"
    BEST = "best"
    BALANCED = "balanced"


class Routing(Asked):
    """How to choose the backend; one is named "backend" or "backend/model"."""

    allow: tuple[str, ...] | None = Field(default=None, description="Use only these.")
    avoid: tuple[str, ...] = Field(default=(), description="Never use these.")
    prefer: RoutingPreference | None = Field(default=None, description="How to rank the backends.")
    waiting_usd_per_second: (
        Annotated[float, Field(ge=0, allow_inf_nan=False), OnlyNumbers] | None
    ) = Field(default=None, description="What a second of waiting costs, in USD; for balanced.")
    local_only: bool = Field(default=False, description="Use only backends on this machine.")
    licences: tuple[str, ...] | None = Field(
        default=None,
        description="Only models under these licences; an unknown licence is excluded.",
    )
    route: str | None = Field(
        default=None,
        min_length=1,
        description="Routing preset; used for whatever is left open here.",
    )


class VideoRequest(Asked, Document):
    """A requested video: one prompt, or a storyboard of shots.

    Null and empty text mean "not given" everywhere; 0 is a value.
    """

    prompt: Prompt | None = Field(default=None, description="What the video shows; or give shots.")
    negative_prompt: Prompt | None = Field(
        default=None, description="What the video should not show."
    )
    shots: tuple[Shot, ...] = Field(
        default=(), description="A storyboard, in order; or give prompt."
    )
    mode: VideoMode | None = Field(default=None, description="Kind of work; inferred when absent.")
    inputs: tuple[MediaInput, ...] = Field(
        default=(), description="Images and videos to start from."
    )
    join_source: bool = Field(
        default=False,
        description="Deliver the source video joined with its continuation, not only that.",
    )
    camera: CameraMove | None = Field(default=None, description="Camera movement.")
    duration: Duration | None = Field(default=None, description="Length in seconds; or num_frames.")
    num_frames: FrameCount | None = Field(
        default=None, description="Length in frames; or duration."
    )
    endless: bool = Field(default=False, description="Continue until finished by a command.")
    fps: FramesPerSecond | None = Field(default=None, description="Frames per second.")
    size: Size | None = Field(default=None, description="Frame size in pixels; or resolution.")
    resolution: ResolutionTier | None = Field(default=None, description="Nominal tier; or size.")
    aspect_ratio: str | None = Field(
        default=None,
        pattern=r"^[1-9]\d{0,3}:[1-9]\d{0,3}$",
        description="Width:height, such as 16:9.",
    )
    seed: Seed | None = Field(default=None, description="0 to 2^63-1; default: random, recorded.")
    audio: bool | None = Field(default=None, description="With audio; default: model default.")
    n: Annotated[int, Field(ge=1, le=16), OnlyNumbers] = Field(
        default=1, description="Number of videos."
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description='"backend", "backend/model", or a model such as "wan-2.7" that several '
        "backends offer; absent: the default.",
    )
    options: Annotated[dict[str, dict[str, JsonValue]], AfterValidator(_check_options)] = Field(
        default={}, description="Options of one backend only, by backend name, then option name."
    )
    watermark: Watermark | None = Field(
        default=None,
        description="Mark the frames, imperceptibly, with what finds the job again: those encoded "
        "here anyway, or all, for which downloads are encoded again; or more by the settings.",
    )
    visible_label: VisibleLabel | None = Field(
        default=None,
        description="Words drawn in a corner of every frame, such as AI-generated; downloads are "
        "encoded again for it.",
    )
    labels: dict[Text, Text] = Field(
        default={}, description="The caller's own marks, kept in the record."
    )
    consent: Annotated[Text, Field(min_length=1, max_length=1000)] | None = Field(
        default=None,
        description="The caller's declaration that the people in the inputs agreed, in words of "
        "their own; kept in the record.",
    )
    budget: Budget | None = Field(default=None, description="Spending limit.")
    deadline: Annotated[Seconds, OnlyNumbers] | None = Field(
        default=None,
        description="Seconds after which the work is stopped, where it can be, and what may still "
        "be billed is said; counted from when a backend has taken it.",
    )
    routing: Routing | None = Field(default=None, description="How to choose the backend.")

    @model_validator(mode="after")
    def _check_prompt_or_shots(self) -> Self:
        self._check_words()
        self._check_length()
        self._check_geometry()
        return self

    def _check_words(self) -> None:
        if self.prompt is not None and self.shots:
            raise ValueError("give either prompt or shots, not both")
        if self.prompt is None and not self.shots and not self.inputs:
            raise ValueError(
                "prompt is empty, and there are neither shots nor inputs: nothing describes what "
                "to show"
            )
        if self.join_source and self.infer_mode() is not VideoMode.VIDEO_EXTEND:
            raise ValueError("join_source needs a video to continue: an input source_video")

    def _check_length(self) -> None:
        given = [
            name
            for name, is_given in (
                ("duration", self.duration is not None),
                ("num_frames", self.num_frames is not None),
                ("endless", self.endless),
            )
            if is_given
        ]
        if len(given) > 1:
            raise ValueError(
                f"give one of duration, num_frames, endless; not {' and '.join(given)}"
            )
        open_ended = [shot for shot in self.shots if shot.duration is None]
        if len(open_ended) > 1:
            raise ValueError(f"{len(open_ended)} shots have no duration; at most one may omit it")
        if self.endless and self.shots and self.shots[-1].duration is not None:
            raise ValueError("endless: the last shot is endless and must not have a duration")
        self._check_sum(bool(open_ended))

    def _check_sum(self, has_open_shot: bool) -> None:
        taken = sum(shot.duration for shot in self.shots if shot.duration is not None)
        if self.duration is None or not self.shots:
            return
        if has_open_shot and taken >= self.duration:
            raise ValueError(
                f"the timed shots take {taken:g} s and leave nothing of the {self.duration:g} s "
                "for the shot without a duration"
            )
        if not has_open_shot and not math.isclose(taken, self.duration, abs_tol=1e-6):
            raise ValueError(f"the shots take {taken:g} s together, not {self.duration:g} s")

    def _check_geometry(self) -> None:
        if self.size is not None and self.resolution is not None:
            raise ValueError("give either size or resolution, not both")
        if self.size is not None and self.aspect_ratio is not None:
            raise ValueError("size already determines the aspect ratio; give only one of them")

    def seconds(self) -> float | None:
        """Return the requested length, as far as the request alone determines it."""
        if self.duration is not None:
            return self.duration
        if self.num_frames is not None and self.fps is not None:
            return self.num_frames / self.fps
        lengths = [shot.duration for shot in self.shots if shot.duration is not None]
        return sum(lengths) if self.shots and len(lengths) == len(self.shots) else None

    def storyboard(self) -> tuple[Shot, ...]:
        """Return the shots; a single prompt is one shot, of the whole length."""
        if self.prompt is None:
            return self.shots
        return (Shot(prompt=self.prompt, duration=self.seconds()),)

    def prompts(self) -> tuple[str, ...]:
        """Return the prompts of the storyboard."""
        if self.prompt is None:
            return tuple(shot.prompt for shot in self.shots)
        return (self.prompt,)

    def infer_mode(self) -> VideoMode:
        """Return the given mode, or the one that the inputs imply."""
        if self.mode is not None:
            return self.mode
        roles = {medium.role for medium in self.inputs}
        if InputRole.SOURCE_VIDEO in roles:
            return VideoMode.VIDEO_EDIT if InputRole.MASK in roles else VideoMode.VIDEO_EXTEND
        if InputRole.LAST_FRAME in roles or InputRole.KEYFRAME in roles:
            return VideoMode.FIRST_LAST_FRAME
        if InputRole.FIRST_FRAME in roles:
            return VideoMode.IMAGE_TO_VIDEO
        return VideoMode.REFERENCE_TO_VIDEO if roles else VideoMode.TEXT_TO_VIDEO

    def split_model(self) -> tuple[str | None, str | None]:
        """Split `model` at its first slash into backend name and model name."""
        if self.model is None:
            return None, None
        backend, _, model = self.model.partition("/")
        return backend, model or None
