"""What is known of a provider's models, as data: each provider's models.yaml, read at first use."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, TypeAdapter

from media_agent.errors import InvalidRequestError
from media_agent_schemas.capabilities import OptionSpec
from media_agent_schemas.media import InputRole, ResolutionTier
from media_agent_schemas.request import VideoMode

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _spell_out(values: object) -> object:
    """Return the numbers of a span such as "2-15"; a list is left as it is."""
    if not isinstance(values, str):
        return values
    first, _, last = values.partition("-")
    return tuple(range(int(first), int(last) + 1))


Numbers = Annotated[tuple[int, ...], BeforeValidator(_spell_out)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Seconds(_Facts):
    """The length is said in whole seconds, as a text or as a number."""

    seconds: Numbers
    default: int
    as_text: bool = True


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


class HostedModel(_Facts):
    """What one model takes and how its fields are called.

    A name with dots, such as "image.url", is a place in an object within the body.
    """

    id: str
    description: str
    source: str
    length: Seconds | Frames | Fixed
    rates: Rates
    tiers: tuple[Tier, ...]
    ratios: tuple[str, ...] = ()  # empty: no field; the frames follow the image, or are fixed
    inputs: Mapping[InputRole, str] = {}
    needs_input: bool = True  # the first of its inputs; false: it makes videos of text alone too
    needs_prompt: bool = True
    negative_prompt: bool = False
    seed: bool = False
    audio_field: str | None = None  # that switches audio on and off
    always_audio: bool = False  # it makes audio, and has no field to switch it off
    names: Mapping[str, str] = {}  # of the fields that are called otherwise than here
    always: Mapping[str, JsonValue] = {}  # unless an option says otherwise
    options: tuple[OptionSpec, ...] = ()

    @property
    def needs(self) -> InputRole | None:
        """The input without which it makes nothing."""
        return next(iter(self.inputs), None) if self.needs_input else None

    @property
    def modes(self) -> tuple[VideoMode, ...]:
        """What it makes videos from."""
        text = () if self.needs else (VideoMode.TEXT_TO_VIDEO,)
        roles = (
            (InputRole.FIRST_FRAME, VideoMode.IMAGE_TO_VIDEO),
            (InputRole.LAST_FRAME, VideoMode.FIRST_LAST_FRAME),
            (InputRole.SOURCE_VIDEO, VideoMode.VIDEO_EXTEND),
        )
        return (*text, *(mode for role, mode in roles if role in self.inputs))

    def named(self, field: str) -> str:
        """Return how a field is called there."""
        return self.names.get(field, field)


class Models:
    """The models of one provider; ids that are not among them are taken too, if of its form."""

    def __init__(
        self, path: Path, *, provider: str, least_parts: int = 1, most_parts: int | None = None
    ) -> None:
        """Say where they are listed, and of how many parts with "/" between them an id is."""
        self._path = path
        self._provider = provider
        self._parts = least_parts, most_parts

    @cached_property
    def by_id(self) -> Mapping[str, HostedModel]:
        """The mapped models, the default first."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is six times as fast
        data = yaml.load(self._path.read_bytes(), Loader=loader)
        found = TypeAdapter(tuple[HostedModel, ...]).validate_python(data["models"])
        return {model.id: model for model in found}

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
        near = near or get_close_matches(model, self.by_id, n=1, cutoff=0.3)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InvalidRequestError(
            f"{self._provider} has no model {model!r}",
            hint=f"{meant}ids look like {next(iter(self.by_id))}",
        )
