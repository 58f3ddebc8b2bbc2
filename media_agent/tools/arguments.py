"""What each tool takes; the docstrings and descriptions here are what a language model reads.

An absent value, null and "" mean the same, because some dialects make a model name every field.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictInt, ValidationError

from media_agent.errors import InvalidRequestError
from media_agent.tools.decoding import Reencoded
from media_agent.validation import in_words
from media_agent_schemas.media import InputRole, MediaInput, Size
from media_agent_schemas.request import Budget, Routing, Shot, VideoRequest

LONGEST_WAIT = 60  # seconds; agents and their transports give up on calls that last longer
_USUAL_WAIT = 30


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("it should be a number, not true or false")
    return value


_OnlyNumbers = BeforeValidator(_no_truth_value)
_Whole = Annotated[int, _OnlyNumbers]
_Number = Annotated[float, _OnlyNumbers]


class ToolArguments(Reencoded):
    """The base of the arguments of every tool."""

    tool: ClassVar[str]
    """Name of the tool."""


class ToolShot(Reencoded):
    """One stretch of the video under one prompt."""

    prompt: str = Field(description="What this stretch shows.")
    duration: _Number | None = Field(
        None, description="Its length in seconds; at most one shot may leave it open."
    )


class VideoWish(ToolArguments):
    """What video is wanted."""

    prompt: str | None = Field(None, description="What the video shows. Give either this or shots.")
    shots: tuple[ToolShot, ...] | None = Field(
        None, description="A storyboard, in order: one video that goes from shot to shot."
    )
    duration: _Number | None = Field(
        None, description="Length of the whole video in seconds, above 0; null: as the model does."
    )
    size: str | None = Field(None, description="Frame size in pixels, such as 1280x720.")
    aspect_ratio: str | None = Field(None, description="Such as 16:9. Give it or size, not both.")
    negative_prompt: str | None = Field(None, description="What the video should not show.")
    first_frame: str | None = Field(
        None, description="An image to begin with: an http(s) address or a path of a file."
    )
    seed: _Whole | None = Field(
        None, description="0 to 2^63-1; the same seed gives the same video. Null: drawn."
    )
    model: str | None = Field(
        None,
        description='Who makes it, "backend" or "backend/model", as plan_video names them. '
        "Null: the one that the settings name.",
    )
    route: str | None = Field(
        None, description="A route of the settings, such as draft or final, instead of a model."
    )
    max_cost_usd: _Number | None = Field(
        None, description="Refuse what costs more than this many US dollars."
    )

    def to_request(self) -> VideoRequest:
        """Return the request in the words of the core.

        Raises:
            InvalidRequestError: something is malformed; all of it is listed.
        """
        try:
            return VideoRequest(
                prompt=self.prompt,
                shots=tuple(Shot(**dict(shot)) for shot in self.shots or ()),
                duration=self.duration,
                size=None if self.size is None else Size.parse(self.size),
                aspect_ratio=self.aspect_ratio,
                negative_prompt=self.negative_prompt,
                inputs=self._inputs(),
                seed=self.seed,
                model=self.model,
                budget=self._budget(),
                routing=None if self.route is None else Routing(route=self.route),
            )
        except ValidationError as error:
            raise InvalidRequestError(in_words(error, VideoRequest)) from None
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None

    def _inputs(self) -> tuple[MediaInput, ...]:
        if self.first_frame is None:
            return ()
        return (MediaInput.from_place(InputRole.FIRST_FRAME, self.first_frame),)

    def _budget(self) -> Budget | None:
        return None if self.max_cost_usd is None else Budget(max_cost_usd=self.max_cost_usd)


class PlanVideo(VideoWish):
    """Say who could make a video, at what price and how fast, without starting or paying anything.

    Use it before create_video when the cost matters or when you want to choose a model.
    """

    tool = "plan_video"


class CreateVideo(VideoWish):
    """Start making a video and return a job at once; then call wait_video until it is finished.

    Asking again for the same thing returns the same job and costs nothing more. To have another
    one made, give another seed or another idempotency_key.
    """

    tool = "create_video"

    idempotency_key: str | None = Field(
        None, description="Your name for this video; the same name always means the same job."
    )


class GetVideo(ToolArguments):
    """Say how a job stands: progress, and when it is finished its video and its contact sheet."""

    tool = "get_video"

    job_id: str = Field(description="As create_video returned it.")


class WaitVideo(ToolArguments):
    """Wait some seconds for a job, at most 60, and say how it stands; call it again if needed."""

    tool = "wait_video"

    job_id: str = Field(description="As create_video returned it.")
    seconds: float | None = Field(
        None,
        gt=0,
        le=LONGEST_WAIT,
        description=f"How long to wait at most, above 0 up to {LONGEST_WAIT}; null: {_USUAL_WAIT}.",
    )

    @property
    def patience(self) -> float:
        """Return how long to wait, in seconds."""
        return _USUAL_WAIT if self.seconds is None else self.seconds


class SteerVideo(ToolArguments):
    """Let a video go on under another prompt while it is made; saying the same again is harmless.

    What is finished stays as it is. Models that take no new prompt say so.
    """

    tool = "steer_video"

    job_id: str = Field(description="As create_video returned it.")
    prompt: str = Field(description="What the video shows from then on.")
    at: Literal["next", "now"] | StrictInt | None = Field(
        None,
        description="next or null: with the first part that is not begun; now: also in parts that "
        "are begun, as far as that still changes them; a number: after so many parts (chunks).",
    )


class CancelVideo(ToolArguments):
    """Stop a job; what was made so far is kept. Harmless when it is finished."""

    tool = "cancel_video"

    job_id: str = Field(description="As create_video returned it.")


TOOLS: tuple[type[ToolArguments], ...] = (
    PlanVideo,
    CreateVideo,
    GetVideo,
    WaitVideo,
    SteerVideo,
    CancelVideo,
)
