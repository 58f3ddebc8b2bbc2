"""The flags that describe the video and choose the backend; the same for plan and generate."""

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
    Yes,
    read_number,
    read_whole_number,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent_schemas.capabilities import Policy
    from media_agent_schemas.media import MediaInput
    from media_agent_schemas.request import Budget, Routing, VideoRequest


@Parameter(name="*", group="Backend")
@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFlags:
    """How to choose the backend; any of them compares all backends unless one is named."""

    backend: str | None = None
    """Backend, NAME or NAME/MODEL; media-agent backends lists them."""
    option: Texts = ()
    """NAME=VALUE, an option of the chosen backend; may be repeated."""
    policy: Literal["strict", "adjust"] | None = None
    """If a value is unsupported: refuse, or use the nearest one and report it (the default)."""
    route: str | None = None
    """Routing preset from [routes.NAME]; flags fill in whatever the preset leaves open."""
    prefer: Literal["cheapest", "fastest", "local-first", "best"] | None = None
    """How to rank the backends that can: cheapest and fastest put price or time first, whatever
    the number of segments; best uses the catalogue's quality ratings."""
    max_cost: Number = None
    """Maximum cost in USD. Backends with an unknown price are excluded."""
    allow: Names = ()
    """Use only this NAME or NAME/MODEL; may be repeated."""
    deny: Names = ()
    """Never use this NAME or NAME/MODEL; may be repeated."""
    local_only: Flag = False
    """Use only backends that run on this machine."""

    def build_routing(self) -> "Routing | None":
        """Return the preferences as a request has them, None if there are none."""
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

    def read_policy(self) -> "Policy | None":
        """Return the policy, None to take that of the settings."""
        from media_agent_schemas.capabilities import Policy

        return None if self.policy is None else Policy(self.policy)

    def build_budget(self) -> "Budget | None":
        """Return the budget of the request.

        Raises:
            InvalidRequestError: it is not an amount.
        """
        from pydantic import ValidationError

        from media_agent.errors import InvalidRequestError
        from media_agent_schemas.request import Budget

        amount = read_number("max-cost", self.max_cost)
        try:
            return None if amount is None else Budget(max_cost_usd=amount)
        except ValidationError:
            raise InvalidRequestError(f"--max-cost {self.max_cost} is not an amount") from None


@Parameter(name="*", group="Video")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFlags:
    """What the video is like, apart from its first prompt."""

    shot: Texts = ()
    """TEXT@SECONDS, another shot; may be repeated. The prompt gets the remaining time."""
    duration: Number = None
    """Length of the whole video in seconds."""
    endless: Flag = False
    """Continue until you finish it."""
    image: Place = None
    """Image for the first frame."""
    last_image: Place = None
    """Image for the last frame."""
    video: Place = None
    """Video to continue, from its end."""
    restyle: Flag = False
    """Restyle that video as the prompt describes, instead of continuing it."""
    fit: Literal["crop", "pad"] | None = None
    """Crop an image whose shape differs from the video's, or pad it with black."""
    size: Annotated[str | None, Parameter(metavar="WxH")] = None
    """Frame size in pixels."""
    fps: Number = None
    """Frames per second."""
    seed: Number = None
    """Random seed, 0 to 2^63-1. Default: random; recorded in the JSON."""
    n: Number = None
    """Number of videos to generate: NAME.mp4, NAME-2.mp4, ..."""
    allow_unknown_words: Flag = False
    """Allow prompt words outside the model's vocabulary."""

    def build_request(
        self,
        prompt: str | None,
        routing: RoutingFlags,
        *,
        backend: str | None,
        options: "dict[str, JsonValue]",
    ) -> "VideoRequest":
        """Return the request that the flags describe; without a backend any may serve it.

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
        count = read_whole_number("n", self.n)
        if self.shot:
            words = {"shots": read_shots(prompt, self.shot, endless=self.endless)}
        try:
            return VideoRequest.model_validate(
                {
                    **words,
                    "mode": VideoMode.VIDEO_EDIT if self.restyle else None,
                    "inputs": self._build_inputs(),
                    "duration": read_number("duration", self.duration),
                    "endless": self.endless,
                    "n": 1 if count is None else count,
                    "seed": read_whole_number("seed", self.seed),
                    "size": None if self.size is None else Size.parse(self.size),
                    "fps": read_number("fps", self.fps),
                    "model": backend,
                    "options": {(backend or "").partition("/")[0]: options} if options else {},
                    "budget": routing.build_budget(),
                    "routing": routing.build_routing(),
                }
            )
        except ValidationError as error:
            raise InvalidRequestError(in_words(error, VideoRequest)) from None
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None

    def _build_inputs(self) -> "tuple[MediaInput, ...]":
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


@Parameter(name="*", group="Output")
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFlags:
    """Where the video is written, and what is reported meanwhile."""

    out: Path | None = None
    """Output file, .mp4; its record is written next to it. Default: out/PROMPT-SEED.mp4."""
    sheet: Path | None = None
    """Also write a contact sheet, .png."""
    overwrite: Flag = False
    """Overwrite existing files."""
    label: str | None = None
    """A word of your own, to find jobs and count costs by."""
    yes: Yes = False
    """Do not ask before something that costs much (see confirm_above_usd in the settings)."""
    follow: Flag = False
    """Print the path of the growing video, so that you can watch it, and each new chunk."""
    json: Flag = False
    """Print the finished job as JSON on stdout and nothing else."""


DEFAULT_OUTPUT = OutputFlags()
DEFAULT_ROUTING = RoutingFlags()
DEFAULT_VIDEO = VideoFlags()
