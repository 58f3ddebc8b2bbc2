"""What is known of a provider's models, as data: each provider's models.yaml, read at first use."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    model_validator,
)

from media_agent.errors import InvalidRequestError
from media_agent_hosted.http.limits import Limits
from media_agent_hosted.models.files import load_entries
from media_agent_schemas.base import TriState
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import CameraMove, InputRole, ResolutionTier, Size
from media_agent_schemas.request import VideoMode

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _spell_out(values: object) -> object:
    """Return the numbers of a span such as "2-15"; a list is left as it is."""
    if not isinstance(values, str):
        return values
    first, _, last = values.partition("-")
    return tuple(range(int(first), int(last) + 1))


def _parse_sizes(values: object) -> object:
    """Return sizes that are written as "1280x720"."""
    if not isinstance(values, list):
        return values
    return [Size.parse(each) if isinstance(each, str) else each for each in values]


def _as_input(value: object) -> object:
    """Return an input that is written as the name of its field alone."""
    return {"field": value} if isinstance(value, str) else value


Numbers = Annotated[tuple[int, ...], BeforeValidator(_spell_out)]
Sizes = Annotated[tuple[Size, ...], BeforeValidator(_parse_sizes)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Seconds(_Facts):
    """The length is said in whole seconds, as a number or as a text, perhaps with its unit."""

    seconds: Numbers
    default: int
    as_text: bool = True
    unit: str = ""  # behind the number of a text, as in "6s"


class Frames(_Facts):
    """The length is said in frames.

    `overlap` of them repeat the end of the source video, so that the video gets longer by the rest
    only.
    """

    least: int
    most: int
    default: int
    multiple: int = 1
    offset: int = 0
    overlap: int = 0


class Fixed(_Facts):
    """The length cannot be said; this is the usual one."""

    frames: int


class Follows(_Facts):
    """The length is that of the source video, from `least` to `most` seconds; no field says it."""

    least: float = 0.0
    most: float


class Tier(_Facts):
    """A resolution: its name there (None: it has no field), its name here, and its short side."""

    value: str | None = None
    name: ResolutionTier | None = None
    short_side: int


class Rates(_Facts):
    """The frame rates, and the field that chooses one."""

    values: Numbers
    default: int
    field: str | None = None


class PixelSizes(_Facts):
    """Sizes that are said in pixels, in one field, the default first."""

    values: Sizes
    field: str = "size"
    between: str = "x"  # what stands between width and height


class Input(_Facts):
    """Where the inputs of one role go, how many there may be, and of what kind.

    With `listed`, `item` or `most` above one the field is a list, and inputs of several roles may
    share it.
    """

    field: str
    most: int = Field(default=1, ge=1)
    listed: bool = False
    own: bool = False  # a video that the provider made, by its id there: no other is taken
    item: str | None = None  # the name of an input in an object of the list
    also: Mapping[str, JsonValue] = {}  # what else each object of the list says
    at: str | None = None  # the name of the time of a keyframe there, in seconds
    limits: Limits = Limits()

    @property
    def is_listed(self) -> bool:
        """Whether the field is a list."""
        return self.listed or self.most > 1 or self.item is not None


Inputs = Mapping[InputRole, Annotated[Input, BeforeValidator(_as_input)]]


class Camera(_Facts):
    """The field for camera movements, and what it is for each."""

    field: str
    moves: Mapping[CameraMove, JsonValue]


class InMode(_Facts):
    """What is different in one mode of a model; None: the same as for the model."""

    path: str | None = None
    inputs: Inputs | None = None
    needs_all_of: tuple[InputRole, ...] | None = None  # none said: any one of its inputs
    length: Seconds | Frames | Fixed | Follows | None = None
    tiers: tuple[Tier, ...] | None = None
    ratios: tuple[str, ...] | None = None
    sizes: PixelSizes | None = None
    needs_prompt: bool | None = None
    negative_prompt: bool | None = None
    seed: bool | None = None
    audio_field: str | None = None  # "": none in this mode
    always_audio: bool | None = None
    max_n: int | None = None
    camera: Camera | None = None
    names: Mapping[str, str] | None = None
    always: Mapping[str, JsonValue] | None = None


class HostedModel(_Facts):
    """What one model takes and how its fields are called.

    A name with dots, such as "image.url", is a place in an object within the body.
    """

    id: str
    description: str
    source: str
    path: str = ""  # of the call, where it depends on the model or on the mode
    length: Seconds | Frames | Fixed | Follows
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    ratios: tuple[str, ...] = ()  # empty: no field; the frames follow the image, or are fixed
    ratio_of_input: str | None = None  # the ratio that means: as the image or video that goes in
    sizes: PixelSizes | None = None  # instead of tiers and ratios
    inputs: Inputs = {}
    by_mode: Mapping[VideoMode, InMode] = {}  # its modes, where they differ
    needs_all_of: tuple[InputRole, ...] | None = None  # instead of the first of its inputs
    needs_any: bool = False  # at least one input, whichever
    needs_input: bool = True  # the first of its inputs; false: it makes videos of text alone too
    needs_prompt: bool = True
    negative_prompt: bool = False
    longest_prompt: int | None = None  # in characters
    longest_negative_prompt: int | None = None
    seed: TriState = False
    max_seed: int | None = None
    max_n: int = 1  # videos of one request; more than one needs a field n
    camera: Camera | None = None
    audio_field: str | None = None  # that switches audio on and off
    audio_values: tuple[JsonValue, JsonValue] = (False, True)  # of that field: off, on
    always_audio: bool = False  # it makes audio, and has no field to switch it off
    may_lack_audio: bool = False  # nobody says whether it makes any: the field may be refused
    names: Mapping[str, str] = {}  # of the fields that are called otherwise than here
    always: Mapping[str, JsonValue] = {}  # unless an option says otherwise
    options: tuple[OptionSpec, ...] = ()

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if bool(self.tiers) == (self.sizes is not None):
            raise ValueError(f"{self.id} needs either tiers or sizes")
        return self

    @property
    def needs(self) -> InputRole | None:
        """The input without which it makes nothing."""
        return next(iter(self.inputs), None) if self.needs_input else None

    @property
    def needed(self) -> tuple[InputRole, ...]:
        """The inputs that must be there."""
        if self.needs_all_of is not None:
            return self.needs_all_of
        return () if self.needs is None else (self.needs,)

    @property
    def roles(self) -> tuple[InputRole, ...]:
        """The inputs that it takes in any mode."""
        of_modes = (role for mode in self.by_mode for role in self.for_mode(mode).inputs)
        return tuple(dict.fromkeys((*self.inputs, *of_modes)))

    @property
    def modes(self) -> tuple[VideoMode, ...]:
        """What it makes videos from."""
        needs_more = self.needs_input and (self.inputs or self.by_mode)
        text = () if needs_more else (VideoMode.TEXT_TO_VIDEO,)
        by_role = (mode for role, mode in _MODES if role in self.inputs)
        return tuple(dict.fromkeys((*text, *by_role, *self.by_mode)))

    def for_mode(self, mode: VideoMode) -> "HostedModel":
        """Return the facts about one mode of the model."""
        facts = self.by_mode.get(mode)
        if facts is None:
            return self
        changes = {name: value for name, value in facts if value is not None}
        if facts.audio_field == "":
            changes["audio_field"] = None
        if facts.inputs:
            changes = {"needs_all_of": (), **changes, "needs_any": True}
        if "sizes" in changes:
            changes |= {"tiers": (), "ratios": ()}
        elif "tiers" in changes:
            changes["sizes"] = None
        return self.model_copy(update=changes)

    def named(self, field: str) -> str:
        """Return how a field is called there."""
        return self.names.get(field, field)


_MODES = (
    (InputRole.FIRST_FRAME, VideoMode.IMAGE_TO_VIDEO),
    (InputRole.LAST_FRAME, VideoMode.FIRST_LAST_FRAME),
    (InputRole.KEYFRAME, VideoMode.FIRST_LAST_FRAME),
    (InputRole.SUBJECT, VideoMode.REFERENCE_TO_VIDEO),
    (InputRole.STYLE, VideoMode.REFERENCE_TO_VIDEO),
    (InputRole.SOURCE_VIDEO, VideoMode.VIDEO_EXTEND),
    (InputRole.MASK, VideoMode.VIDEO_EDIT),
)


class Models:
    """The models of one provider; ids that are not among them are taken too, if of its form."""

    def __init__(
        self,
        path: Path,
        *,
        provider: str,
        least_parts: int = 1,
        most_parts: int | None = None,
        default: str | None = None,
    ) -> None:
        """Say where they are listed, and of how many parts with "/" between them an id is.

        `path` is a file or a folder with a file for each family; without `default` the first one
        listed is the default.
        """
        self.path = path
        self._default = default
        self._provider = provider
        self._parts = least_parts, most_parts

    @cached_property
    def by_id(self) -> Mapping[str, HostedModel]:
        """The mapped models, the default first."""
        found = TypeAdapter(tuple[HostedModel, ...]).validate_python(load_entries(self.path))
        known = {model.id: model for model in found}
        first = {} if self._default is None else {self._default: known[self._default]}
        return first | known

    def check_id(self, model: str | None) -> str:
        """Return the id of a model, the default one for None; any id of the right form is taken.

        Raises:
            InvalidRequestError: it cannot be an id; the nearest known one is said.
        """
        if model is None:
            return next(iter(self.by_id))
        parts, (least, most) = model.split("/"), self._parts
        is_long_enough = least <= len(parts) <= (len(parts) if most is None else most)
        if is_long_enough and all(map(_PART.fullmatch, parts)):
            return model
        near = [each for each in self.by_id if len(model) > 2 and model in each]
        near.sort(key=lambda each: model not in each.split("/"))  # a whole part of an id first
        near = near or get_close_matches(model, self.by_id, n=1, cutoff=0.3)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InvalidRequestError(
            f"{self._provider} has no model {model!r}",
            hint=f"{meant}ids look like {next(iter(self.by_id))}",
        )
