"""The fields of POST /v1/videos: OpenAI's, those of other servers of this shape, and ours.

A field is used, or it is refused with its name; none is dropped.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, ValidationError

from media_agent.errors import InvalidRequestError
from media_agent.suggest import did_you_mean
from media_agent.validation import in_words
from media_agent_schemas.base import Asked, OnlyNumbers, Schema
from media_agent_schemas.jobs import Label
from media_agent_schemas.media import Size
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import (
    Duration,
    FrameCount,
    FramesPerSecond,
    Prompt,
    Seed,
    Text,
    VideoRequest,
)

INPUT_FIELDS = (
    "input_reference",
    "input_references",
    "image_reference",
    "reference_url",
    "image_url",
)
"""Fields that are images: OpenAI's, then those of servers like it."""


def _read_size(value: object) -> object:
    return Size.parse(value) if isinstance(value, str) else value


WireSize = Annotated[Size, BeforeValidator(_read_size, json_schema_input_type=str)]
Side = Annotated[int, Field(ge=1, le=100_000), OnlyNumbers]
Count = Annotated[int, Field(ge=1, le=16), OnlyNumbers]


class NewVideo(Asked):
    """What a new video is to be, as clients of OpenAI's API and of servers like it say it."""

    prompt: Prompt | None = Field(
        default=None, description="What the video shows; or give media_agent.shots."
    )
    model: Annotated[str, Field(max_length=300)] | None = Field(
        default=None,
        description='"backend", "backend/model", or a name that the server maps to one; absent: '
        "the server's default.",
    )
    seconds: Duration | None = Field(default=None, description="Length in seconds.")
    size: WireSize | None = Field(default=None, description="WIDTHxHEIGHT, such as 1280x720.")
    width: Side | None = Field(default=None, description="With height, instead of size.")
    height: Side | None = Field(default=None, description="With width, instead of size.")
    seed: Seed | None = Field(default=None, description="0 to 2^63-1; absent: random.")
    fps: FramesPerSecond | None = Field(default=None, description="Frames per second.")
    num_frames: FrameCount | None = Field(default=None, description="Instead of seconds.")
    negative_prompt: Prompt | None = Field(
        default=None, description="What the video should not show."
    )
    aspect_ratio: str | None = Field(default=None, description="Such as 16:9, instead of size.")
    n: Count | None = Field(default=None, description="Number of videos.")
    num_outputs_per_prompt: Count | None = Field(default=None, description="The same as n.")
    audio: bool | None = Field(default=None, description="With audio; absent: as the model does.")
    generate_sound: bool | None = Field(default=None, description="The same as audio.")
    user: Text | None = Field(default=None, description="Kept as the label user of the record.")


class OwnFields(Asked):
    """What is asked of this server beside the request."""

    policy: Policy | None = Field(
        default=None, description="strict: refuse what the model cannot do; adjust: say so."
    )
    label: Label | None = Field(default=None, description="A word to find jobs and costs by.")
    allow_unknown_words: bool = Field(
        default=False, description="Whether a model that knows few words may get others."
    )
    max_cost_usd: Annotated[float, Field(ge=0), OnlyNumbers] | None = Field(
        default=None, description="Refuse a video that costs more."
    )


class ExpiresAfter(Schema):
    """When a file goes by itself."""

    anchor: Literal["created_at"] = Field(description="From when on it counts.")
    seconds: int = Field(ge=3600, le=2_592_000, description="1 hour to 30 days.")


class NewFile(Schema):
    """What is said of a file that is sent."""

    purpose: str = Field(pattern=r"^[a-z][a-z_-]{0,63}$", description="Such as vision.")
    expires_after: ExpiresAfter | None = Field(default=None, description="Absent: never.")


_REQUEST_NAMES = {"seconds": "duration", "num_outputs_per_prompt": "n", "generate_sound": "audio"}
"""Fields of the wire that have another name in a request."""


def parse_video(fields: Mapping[str, Any]) -> NewVideo:
    """Return the fields that every model may have.

    Raises:
        InvalidRequestError: a value is impossible; all faults are said.
    """
    try:
        return NewVideo.model_validate(dict(fields))
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, NewVideo)) from None


def build_request(
    video: NewVideo,
    own: Mapping[str, Any],
    *,
    inputs: Iterable[Mapping[str, Any]] = (),
    options: Mapping[str, Mapping[str, JsonValue]] | None = None,
) -> tuple[VideoRequest, OwnFields]:
    """Return the request that fields of the wire and of `media_agent` make together.

    Raises:
        InvalidRequestError: a value is impossible, or a field is given twice.
    """
    known = {*OwnFields.model_fields, *VideoRequest.model_fields}
    for name in own:
        if name not in known:
            raise InvalidRequestError(
                f"unknown field media_agent.{name:.100}", hint=did_you_mean(name, known)
            )
    given = _gather(video)
    beside = {name: own[name] for name in own if name in OwnFields.model_fields}
    rest = {name: value for name, value in own.items() if name not in beside}
    _merge(given, rest)
    made = [*inputs]
    if made:
        _merge(given, {"inputs": made})
    for backend, values in (options or {}).items():
        _merge(given.setdefault("options", {}).setdefault(backend, {}), values)
    try:
        asked = OwnFields.model_validate(beside)
        if asked.max_cost_usd is not None:
            _merge(given, {"budget": {"max_cost_usd": asked.max_cost_usd}})
        return VideoRequest.model_validate(given), asked
    except ValidationError as error:
        shape = OwnFields if error.title == "OwnFields" else VideoRequest
        raise InvalidRequestError(in_words(error, shape)) from None


def refuse_unknown(name: str, known: Iterable[str]) -> InvalidRequestError:
    """Return the error for a field that nobody knows, or that stands in the wrong place."""
    if name in OwnFields.model_fields or name in VideoRequest.model_fields:
        way_out = f"write it as media_agent.{name}; in a form, media_agent[{name}]"
    else:
        way_out = f"{did_you_mean(name, known)}; media_agent takes every field of a VideoRequest"
    return InvalidRequestError(f"unknown field {name!r:.120}", hint=way_out)


def _gather(video: NewVideo) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in video:
        if value is None or name in ("width", "height", "user"):
            continue
        _merge(given, {_REQUEST_NAMES.get(name, name): value})
    if (video.width is None) != (video.height is None):
        raise InvalidRequestError("width and height belong together; or give size")
    if video.width is not None:
        _merge(given, {"size": {"width": video.width, "height": video.height}})
    if video.user is not None:
        given["labels"] = {"user": video.user}
    return given


def _merge(given: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add fields; objects are joined.

    Raises:
        InvalidRequestError: a field is there already, with another value.
    """
    for name, value in more.items():
        known = given.get(name)
        if isinstance(known, dict) and isinstance(value, Mapping):
            _merge(known, value)
        elif known is not None and value not in (None, "", known):
            raise InvalidRequestError(f"{name} is given twice, with different values")
        elif value is not None:
            given[name] = dict(value) if isinstance(value, Mapping) else value
