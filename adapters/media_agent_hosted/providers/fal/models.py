"""What is known of a model at fal, read from models.yaml."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, TypeAdapter

from media_agent_schemas.capabilities import OptionSpec
from media_agent_schemas.media import InputRole, ResolutionTier
from media_agent_schemas.request import VideoMode


def _spelled_out(values: object) -> object:
    """Return the numbers of a span such as "2-15"; a list is left as it is."""
    if not isinstance(values, str):
        return values
    first, _, last = values.partition("-")
    return tuple(range(int(first), int(last) + 1))


Numbers = Annotated[tuple[int, ...], BeforeValidator(_spelled_out)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Seconds(_Facts):
    """The length is said in whole seconds, as a text or as a number."""

    seconds: Numbers
    default: int
    as_text: bool = True


class Frames(_Facts):
    """The length is said in frames: `num_frames`.

    `overlap` frames of it make the end of the given film again, so that the film gets longer by
    `num_frames - overlap` only.
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


class FalModel(_Facts):
    """What one model takes and how its fields are called."""

    id: str
    description: str
    source: str
    length: Seconds | Frames | Fixed
    rates: Rates
    tiers: tuple[Tier, ...]
    ratios: tuple[str, ...] = ()  # empty: no field; the frames follow the picture, or are fixed
    inputs: Mapping[InputRole, str] = {}  # the first of them must be given
    needs_prompt: bool = True
    negative_prompt: bool = False
    seed: bool = False
    audio_field: str | None = None
    always: Mapping[str, JsonValue] = {}  # unless an option says otherwise
    options: tuple[OptionSpec, ...] = ()

    @property
    def needs(self) -> InputRole | None:
        """The input without which it makes nothing."""
        return next(iter(self.inputs), None)

    @property
    def modes(self) -> tuple[VideoMode, ...]:
        """What it makes films from."""
        if self.needs is None:
            return (VideoMode.TEXT_TO_VIDEO,)
        if self.needs is InputRole.SOURCE_VIDEO:
            return (VideoMode.VIDEO_EXTEND,)
        if InputRole.LAST_FRAME in self.inputs:
            return (VideoMode.IMAGE_TO_VIDEO, VideoMode.FIRST_LAST_FRAME)
        return (VideoMode.IMAGE_TO_VIDEO,)


@cache
def models() -> Mapping[str, FalModel]:
    """Return the mapped models by id, the default first."""
    import yaml

    data = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes())
    found = TypeAdapter(tuple[FalModel, ...]).validate_python(data["models"])
    return {model.id: model for model in found}
