"""The flags that say what video is wanted, and who may make it; the same for plan and generate."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.arguments import (
    Flag,
    Names,
    Number,
    Place,
    Texts,
    number,
    whole_number,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent_schemas.capabilities import Policy
    from media_agent_schemas.media import MediaInput
    from media_agent_schemas.request import Budget, Routing, VideoRequest


@Parameter(name="*", group="Who makes it")
@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFlags:
    """Wishes about who makes it; any of them chooses among all backends unless one is named."""

    backend: str | None = None
    """Who makes it, NAME or NAME/MODEL; media-agent backends lists them."""
    option: Texts = ()
    """NAME=VALUE, an option of the backend named; repeat for more."""
    policy: Literal["strict", "adjust"] | None = None
    """What a backend cannot do exactly: refuse it, or take the nearest and say so (the default)."""
    route: str | None = None
    """A route of the settings, [routes.NAME]; flags say what it does not."""
    prefer: Literal["cheapest", "fastest", "local-first", "best"] | None = None
    """What decides among those that could; best is an opinion of the catalogue."""
    max_cost: Number = None
    """What it may cost, in USD; an unknown price is not within it."""
    allow: Names = ()
    """Only this NAME or NAME/MODEL; repeat for more."""
    deny: Names = ()
    """Never this NAME or NAME/MODEL; repeat for more."""
    local_only: Flag = False
    """Only what works on this machine."""

    def routing(self) -> "Routing | None":
        """Return the wishes as a request has them, None if there is none."""
        from media_agent_schemas.request import Routing, RoutingPreference

        if not (self.route or self.prefer or self.allow or self.deny or self.local_only):
            return None
        return Routing(
            route=self.route,
            prefer=None if self.prefer is None else RoutingPreference(self.prefer),
            allow=self.allow or None,
            avoid=self.deny,
            local_only=self.local_only,
        )

    def chosen_policy(self) -> "Policy | None":
        """Return the policy, None to take that of the settings."""
        from media_agent_schemas.capabilities import Policy

        return None if self.policy is None else Policy(self.policy)

    def budget(self) -> "Budget | None":
        """Return the budget of the request.

        Raises:
            InvalidRequestError: it is no amount.
        """
        from pydantic import ValidationError

        from media_agent.errors import InvalidRequestError
        from media_agent_schemas.request import Budget

        amount = number("max-cost", self.max_cost)
        try:
            return None if amount is None else Budget(max_cost_usd=amount)
        except ValidationError:
            raise InvalidRequestError(f"--max-cost {self.max_cost} is not an amount") from None


@Parameter(name="*", group="The video")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFlags:
    """What the video is like, beside its first prompt."""

    shot: Texts = ()
    """TEXT@SECONDS, a further shot; repeat for more. The prompt gets what they leave."""
    duration: Number = None
    """Length of the whole video in seconds."""
    endless: Flag = False
    """Go on until told to finish."""
    image: Place = None
    """An image to begin with."""
    last_image: Place = None
    """An image to end with."""
    video: Place = None
    """A video to go on from, at its end."""
    restyle: Flag = False
    """Make that video anew as the prompt says, instead of going on from it."""
    fit: Literal["crop", "pad"] | None = None
    """An image in another shape than the video is cut, or filled up with black."""
    size: Annotated[str | None, Parameter(metavar="WxH")] = None
    """In pixels."""
    fps: Number = None
    """Frames per second."""
    seed: Number = None
    """0 to 2^63-1; absent: drawn, and recorded."""
    n: Number = None
    """Number of videos to generate: NAME.mp4, NAME-2.mp4, ..."""
    allow_unknown_words: Flag = False
    """Go on with words that the model has never learnt."""

    def request(
        self,
        prompt: str | None,
        routing: RoutingFlags,
        *,
        backend: str | None,
        options: "dict[str, JsonValue]",
    ) -> "VideoRequest":
        """Return the request that the flags say; without a backend it is open who makes it.

        Raises:
            InvalidRequestError: a value is impossible.
        """
        from pydantic import ValidationError

        from media_agent.errors import InvalidRequestError
        from media_agent.negotiation.storyboard import read_shots
        from media_agent.validation import in_words
        from media_agent_schemas.media import Size
        from media_agent_schemas.request import VideoMode, VideoRequest

        words: dict[str, object] = {"prompt": prompt}
        count = whole_number("n", self.n)
        if self.shot:
            words = {"shots": read_shots(prompt, self.shot, endless=self.endless)}
        try:
            return VideoRequest.model_validate(
                {
                    **words,
                    "mode": VideoMode.VIDEO_EDIT if self.restyle else None,
                    "inputs": self._inputs(),
                    "duration": number("duration", self.duration),
                    "endless": self.endless,
                    "n": 1 if count is None else count,
                    "seed": whole_number("seed", self.seed),
                    "size": None if self.size is None else Size.parse(self.size),
                    "fps": number("fps", self.fps),
                    "model": backend,
                    "options": {(backend or "").partition("/")[0]: options} if options else {},
                    "budget": routing.budget(),
                    "routing": routing.routing(),
                }
            )
        except ValidationError as error:
            raise InvalidRequestError(in_words(error, VideoRequest)) from None
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None

    def _inputs(self) -> "tuple[MediaInput, ...]":
        from media_agent.errors import InvalidRequestError
        from media_agent_schemas.media import InputRole, MediaInput

        if self.restyle and self.video is None:
            raise InvalidRequestError("--restyle needs a video", hint="name it with --video")
        if self.fit is not None and (self.image, self.last_image, self.video) == (None, None, None):
            raise InvalidRequestError(f"--fit {self.fit} needs an image or video", hint="--image")
        places = {
            InputRole.FIRST_FRAME: self.image,
            InputRole.LAST_FRAME: self.last_image,
            InputRole.SOURCE_VIDEO: self.video,
        }
        return tuple(
            MediaInput.from_place(role, place)
            for role, place in places.items()
            if place is not None
        )


@Parameter(name="*", group="The files")
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFlags:
    """Where the video goes, and what is said meanwhile."""

    out: Path | None = None
    """The file to write, .mp4; its record goes beside it. Absent: out/PROMPT-SEED.mp4."""
    sheet: Path | None = None
    """Also write a contact sheet, .png."""
    overwrite: Flag = False
    """Replace files that exist."""
    follow: Flag = False
    """Say where the growing video is, to be watched already, and every new chunk."""
    json: Flag = False
    """Print the finished job as JSON on stdout, and nothing else."""


HERE = OutputFlags()
NO_FLAGS = RoutingFlags()
NO_WISHES = VideoFlags()
