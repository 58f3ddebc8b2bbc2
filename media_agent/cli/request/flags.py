"""The flags that describe the video and choose the backend; the same for plan and generate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.arguments import (
    Backend,
    Camera,
    Duration,
    Flag,
    Name,
    Names,
    Number,
    OptionalFile,
    Output,
    Place,
    Request,
    Text,
    Texts,
    Yes,
    read_number,
)

if TYPE_CHECKING:
    from media_agent_schemas.plan import Policy


@Parameter(name="*", group="Backend")
@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFlags:
    """How to choose the backend; any of them compares all backends unless one is named."""

    backend: Backend = None
    """NAME, NAME/MODEL, or a model that several offer, such as wan-2.7."""
    option: Texts = ()
    """NAME=VALUE, an option of the chosen backend; may be repeated."""
    policy: Literal["strict", "adjust"] | None = None
    """If a value is unsupported: refuse, or use the nearest one and report it (the default)."""
    route: Name = None
    """Routing preset from [routes.NAME]; flags fill in whatever the preset leaves open."""
    prefer: Literal["cheapest", "fastest", "balanced", "local-first", "best"] | None = None
    """How to rank the backends that can: by price, time, both, place, or the quality rating."""
    waiting_usd_per_second: Number = None
    """What a second of waiting costs you, in USD, for --prefer balanced."""
    max_cost: Number = None
    """Maximum cost in USD. Backends with an unknown price are excluded."""
    allow: Names = ()
    """Use only this NAME or NAME/MODEL; may be repeated."""
    deny: Names = ()
    """Never use this NAME or NAME/MODEL; may be repeated."""
    local_only: Flag = False
    """Use only backends that run on this machine."""

    def list_given(self) -> "dict[str, object]":
        """Return the preferences as a request has them, and only those that are given."""
        fields: dict[str, object] = {
            "route": self.route,
            "prefer": self.prefer,
            "waiting_usd_per_second": read_number(
                "waiting-usd-per-second", self.waiting_usd_per_second
            ),
            "allow": self.allow,
            "avoid": self.deny,
            "local_only": self.local_only,
        }
        return {name: value for name, value in fields.items() if value or isinstance(value, float)}

    def read_policy(self) -> "Policy | None":
        """Return the policy, None to take that of the settings."""
        from media_agent_schemas.plan import Policy

        return None if self.policy is None else Policy(self.policy)

    def read_max_cost(self) -> float | None:
        """Return the most that it may cost, in USD.

        Raises:
            InvalidRequestError: it is not an amount.
        """
        from media_agent.errors import InvalidRequestError

        amount = read_number("max-cost", self.max_cost)
        if amount is not None and not 0 <= amount < float("inf"):
            raise InvalidRequestError(f"--max-cost {self.max_cost} is not an amount")
        return amount


@Parameter(name="*", group="Video")
@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFlags:
    """What the video is like, apart from its first prompt."""

    shot: Texts = ()
    """A shot, TEXT@SECONDS, after the prompt; may be repeated. One of all may omit @SECONDS."""
    request: Request = None
    """Read the request from a JSON or YAML file, - for stdin; flags override its fields."""
    negative_prompt: Text = None
    """What the video should not show."""
    duration: Duration = None
    """Length of the whole video in seconds."""
    endless: Flag = False
    """Continue until you finish it."""
    image: Annotated[Place, Parameter(name=("--image", "--first-frame"))] = None
    """Image for the first frame."""
    last_frame: Annotated[Place, Parameter(name=("--last-frame", "--last-image"))] = None
    """Image for the last frame."""
    video: Place = None
    """Video to continue, from its end."""
    restyle: Flag = False
    """Restyle that video as the prompt describes, instead of continuing it."""
    consent: Text = None
    """Your declaration that the people in the inputs agreed; kept in the record."""
    fit: Literal["crop", "pad"] | None = None
    """Crop an image whose shape differs from the video's, or pad it with black."""
    size: Annotated[str | None, Parameter(metavar="WxH")] = None
    """Frame size in pixels; or give a resolution."""
    resolution: Literal["360p", "480p", "540p", "720p", "768p", "1080p", "2k", "4k"] | None = None
    """Nominal resolution, for the models that know these names."""
    aspect_ratio: Annotated[str | None, Parameter(metavar="W:H")] = None
    """Width to height, such as 16:9; or give a size."""
    fps: Number = None
    """Frames per second."""
    camera: Camera = None
    """Camera movement, for the models that take one."""
    audio: Annotated[bool | None, Parameter(show_default=False)] = None
    """With audio, or without. Default: as the model does."""
    deadline: Annotated[Number, Parameter(metavar="SECONDS")] = None
    """Stop the work after so many seconds, where it can be, and say what may still be billed."""
    seed: Number = None
    """Random seed, 0 to 2^63-1. Default: random; recorded in the JSON."""
    n: Annotated[Number, Parameter(name=("--n", "-n"))] = None
    """Number of videos to generate: NAME.mp4, NAME-2.mp4, ..."""
    watermark: Literal["encoded", "all"] | None = None
    """Mark frames encoded here; all: also downloads, which are encoded again for it."""
    visible_label: Text = None
    """Words drawn in a corner of every frame, such as AI-generated."""
    allow_unknown_words: Flag = False
    """Allow prompt words outside the model's vocabulary."""


@Parameter(name="*", group="Output")
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFlags:
    """Where the video is written, and what is reported meanwhile."""

    out: Output = None
    """Output file, .mp4; its record goes beside it. Default: out/PROMPT-SEED.mp4."""
    sheet: OptionalFile = None
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
    quiet: Annotated[Flag, Parameter(name=("--quiet", "-q"))] = False
    """Print the path of the video, and errors; neither progress nor warnings."""


DEFAULT_OUTPUT = OutputFlags()
DEFAULT_ROUTING = RoutingFlags()
DEFAULT_VIDEO = VideoFlags()
