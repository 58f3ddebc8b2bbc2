"""What the tools for new videos take; what is written here is what a language model reads.

An absent value, null and "" mean the same, because some dialects make a model name every field.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, JsonValue, ValidationError

from media_agent.errors import InvalidRequestError
from media_agent.tools.decoding import Reencoded
from media_agent.validation import in_words
from media_agent_schemas.base import OnlyNumbers
from media_agent_schemas.media import InputRole, MediaInput, Size
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import Budget, Routing, Shot, VideoRequest

Options = Mapping[str, Mapping[str, JsonValue]]
"""Options by the name of the backend that they are for."""
LONGEST_WAIT = 60  # seconds; agents and their transports give up on calls that last longer

Whole = Annotated[int, OnlyNumbers]
Number = Annotated[float, OnlyNumbers]

OptionTexts = Annotated[
    tuple[str, ...] | None,
    Field(description="NAME=VALUE; list_video_backends has those of a model."),
]
PolicyWord = Annotated[
    Policy | None,
    Field(description="Unsupported values: strict refuses, adjust takes the nearest."),
]
MaxCost = Annotated[Number | None, Field(description="Refuse what costs more.")]


class ToolArguments(Reencoded):
    """The base of the arguments of every tool."""

    tool: ClassVar[str]
    """Name of the tool."""


class ToolShot(Reencoded):
    """One stretch of the video under one prompt."""

    prompt: str = Field(description="What this shot shows.")
    duration: Number | None = Field(default=None, description="Seconds; one shot may omit it.")


class VideoWish(ToolArguments):
    """What video is wanted."""

    prompt: str | None = Field(default=None, description="What the video shows; or give shots.")
    shots: tuple[ToolShot, ...] | None = Field(
        default=None, description="Storyboard: one video, shot after shot."
    )
    duration: Number | None = Field(default=None, description="Seconds; default: the model's.")
    size: str | None = Field(default=None, description="Such as 1280x720.")
    aspect_ratio: str | None = Field(default=None, description="Such as 16:9; instead of size.")
    negative_prompt: str | None = Field(default=None, description="What it should not show.")
    first_frame: str | None = Field(
        default=None, description="First frame: image URL or file path."
    )
    consent: str | None = Field(
        default=None, description="The user's word that those shown agreed."
    )
    seed: Whole | None = Field(default=None, description="0 to 2^63-1; default: random.")
    model: str | None = Field(
        default=None,
        description="backend, backend/model or a model's name; default: from the settings.",
    )
    route: str | None = Field(default=None, description="Routing preset, instead of a model.")
    options: OptionTexts = None
    policy: PolicyWord = None
    max_cost_usd: MaxCost = None

    def to_request(self, options: Options | None = None) -> VideoRequest:
        """Return the request in the words of the core, with the options as they were read.

        Raises:
            InvalidRequestError: something is malformed; all of it is listed.
        """
        try:
            return VideoRequest(
                prompt=self.prompt,
                shots=tuple(Shot(**dict(shot)) for shot in self.shots or ()),
                duration=self.duration,
                size=None if self.size is None else Size.parse(self.size),
                options={name: dict(own) for name, own in (options or {}).items()},
                aspect_ratio=self.aspect_ratio,
                negative_prompt=self.negative_prompt,
                inputs=self._build_inputs(),
                consent=self.consent,
                seed=self.seed,
                model=self.model,
                budget=self._build_budget(),
                routing=None if self.route is None else Routing(route=self.route),
            )
        except ValidationError as error:
            raise InvalidRequestError(in_words(error, VideoRequest)) from None
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None

    def _build_inputs(self) -> tuple[MediaInput, ...]:
        if self.first_frame is None:
            return ()
        return (MediaInput.from_place(InputRole.FIRST_FRAME, self.first_frame),)

    def _build_budget(self) -> Budget | None:
        return None if self.max_cost_usd is None else Budget(max_cost_usd=self.max_cost_usd)


class PlanVideo(VideoWish):
    """Compare the backends for a video by price and speed; nothing is started or paid.

    Use it when the cost matters or to choose a model.
    """

    tool = "plan_video"


class CreateVideo(VideoWish):
    """Start a video and return its job at once; then call wait_video until it is finished.

    A repeated call returns the same job and costs nothing more; for another video use another seed
    or idempotency_key.
    """

    tool = "create_video"

    idempotency_key: str | None = Field(
        default=None, description="Your name for this video: same name, same job."
    )
    wait_seconds: Annotated[float, Field(ge=0, le=LONGEST_WAIT), OnlyNumbers] | None = Field(
        default=None, description=f"Wait so long for it, at most {LONGEST_WAIT}; default: 0."
    )
