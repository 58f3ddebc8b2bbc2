"""What servers with OpenAI's video API answer, and what that means here; all of it pure.

SGLang-Diffusion and vLLM-Omni both speak it, each in its own way.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from media_agent.errors import (
    BackendResponseError,
    GenerationFailedError,
    InvalidRequestError,
    OperationNotFoundError,
    to_info,
)
from media_agent_hosted.lenient import (
    Identifier,
    LenientNumber,
    LenientText,
    LenientTexts,
    State,
    or_none,
    state_of,
)
from media_agent_hosted.replies import trimmed
from media_agent_schemas.capabilities import Verification
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import (
    Cost,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobProgressed,
    Timing,
)
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact

BLINDLY = "without its prompt"
"""How a video was found again where the server does not repeat prompts."""
_FOUND_BLINDLY = (
    "{} was found again by its time, size and length, as this server does not repeat prompts: "
    "look whether it is the film you asked for"
)


class Server(StrEnum):
    """Which program answers; AUTO: told from what it answers."""

    AUTO = "auto"
    SGLANG = "sglang"
    VLLM_OMNI = "vllm-omni"


class VideoError(BaseModel):
    """Why a video failed; SGLang gives no code, vLLM-Omni the HTTP status of its poll."""

    model_config = ConfigDict(extra="ignore")

    code: int | str | None = None
    message: str | None = None


class Video(BaseModel):
    """A video as a server describes it; only `id` and `status` may refuse it.

    Everything else is decoration: what cannot be read counts as not said.
    """

    model_config = ConfigDict(extra="ignore")

    id: Identifier
    status: str
    progress: LenientNumber = None
    model: LenientText = None
    prompt: LenientText = None
    size: LenientText = None
    seconds: LenientNumber = None
    num_frames: LenientNumber = None
    fps: LenientNumber = None
    created_at: LenientNumber = None
    completed_at: LenientNumber = None
    expires_at: LenientNumber = None
    url: LenientText = None
    urls: LenientTexts = ()
    error: Annotated[VideoError | str | None, or_none] = None
    inference_time_s: LenientNumber = None
    revised_prompt: LenientText = None
    media_type: LenientText = None
    file_path: LenientText = None

    @property
    def server(self) -> Server:
        """Which program wrote this, as far as its fields tell."""
        if self.id.startswith("video_gen_") or self.media_type is not None:
            return Server.VLLM_OMNI
        if self.file_path is not None or "urls" in self.model_fields_set:
            return Server.SGLANG
        return Server.AUTO

    @property
    def can_be_asked_for(self) -> bool:
        """Whether the id can stand in a path: dots alone would climb out of it."""
        return self.id.strip(".") != "" and len(self.id) <= 500 and self.id.isprintable()

    @property
    def address(self) -> str | None:
        """Where the film can be fetched, if the server says so itself; a bucket is no address."""
        named = (self.url, *self.urls)
        return next((url for url in named if url is not None and url.startswith("http")), None)


class VideoList(BaseModel):
    """A page of videos; SGLang does not say whether there are more."""

    model_config = ConfigDict(extra="ignore")

    data: list[JsonValue]
    has_more: bool | None = None


def parse_video(body: JsonValue) -> Video | None:
    """Read a video, None if this is none; also from an error, as vLLM-Omni answers failed polls.

    Some gateways put it into an envelope named `data`, alone or as the only entry of a list.
    """
    if isinstance(body, dict) and "id" not in body and "data" in body:
        inner = body["data"]
        body = inner[0] if isinstance(inner, list) and len(inner) == 1 else inner
    try:
        return Video.model_validate(body)
    except ValidationError:
        return None


def parse_list(body: JsonValue) -> tuple[list[Video], bool | None]:
    """Read a page of videos and whether there are more, None if that is not said.

    Raises:
        BackendResponseError: this is no list of videos.
    """
    try:
        page = VideoList.model_validate(body)
    except ValidationError as error:
        raise BackendResponseError("the server's list of videos is no list") from error
    videos = [video for entry in page.data if (video := parse_video(entry)) is not None]
    return videos, page.has_more


def parse_models(body: JsonValue) -> tuple[str, ...]:
    """Read the names of the models that a server serves; empty if it does not say."""
    entries = body.get("data") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        return ()
    names = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    return tuple(name for name in names if isinstance(name, str))


def parse_status(
    video: Video, *, server: Server = Server.AUTO
) -> JobProgressed | JobCancelled | JobFailed | None:
    """Say where a video stands; None: it is complete and can be fetched.

    An unknown word is progress: servers add words, and a deadline ends what never ends.

    Raises:
        OperationNotFoundError: it was deleted.
    """
    match state_of(video.status):
        case State.COMPLETED:
            return None
        case State.FAILED:
            return JobFailed(error=failure(video), model=video.model, cost=no_cost())
        case State.CANCELLED:
            return JobCancelled(model=video.model, cost=no_cost())
        case State.DELETED:
            raise lost(video.id)
        case State.QUEUED | State.RUNNING | None:
            phase = trimmed(video.status)
            return JobProgressed(phase=phase, fraction=_fraction(video, server))


def completed(
    video: Video, artifact: Artifact, ref: OperationRef, verification: Verification
) -> JobCompleted:
    """Return the end of a video that was made, with all that the server tells."""
    seed, took = ref.data.get("seed"), None
    if video.created_at is not None and video.completed_at is not None:
        took = max(0.0, video.completed_at - video.created_at)
    inference = video.inference_time_s
    return JobCompleted(
        artifacts=(artifact,),
        seed=seed if isinstance(seed, int) else None,
        model=video.model or ref.model,
        verification=verification,
        prompts_sent=None if video.revised_prompt is None else (video.revised_prompt,),
        warnings=(_FOUND_BLINDLY.format(video.id),) if ref.data.get("found") == BLINDLY else (),
        timing=Timing(
            total_seconds=took, phases={} if inference is None else {"inference": inference}
        ),
        cost=no_cost(),
    )


def failure(video: Video) -> ErrorInfo:
    """Return why a video failed, in the server's words."""
    error = video.error
    said = error if isinstance(error, str) else error.message if error is not None else None
    code = error.code if isinstance(error, VideoError) else None
    message = f"the server could not make {video.id}: {trimmed(said or 'it does not say why')}"
    if isinstance(code, int) and 400 <= code < 500:
        return to_info(InvalidRequestError(message, hint="change what the server complains about"))
    return to_info(GenerationFailedError(message, hint="the server's log says more"))


def lost(video_id: str) -> OperationNotFoundError:
    """Return the error for a video that its server no longer knows; nobody knows its outcome."""
    return OperationNotFoundError(
        f"the server does not know video {video_id}: it was restarted and forgot all its videos, "
        "or somebody deleted this one",
        hint="look for the film in the server's output folder",
    )


def expiry(video: Video) -> datetime | None:
    """Return when the server forgets the film, if it says so."""
    if video.expires_at is None or video.expires_at <= 0:
        return None
    try:
        return datetime.fromtimestamp(video.expires_at, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def no_cost() -> Cost:
    """Return the price of one's own hardware."""
    return Cost(usd=0, source="own hardware: no price")


def _fraction(video: Video, server: Server) -> float | None:
    """Return the progress; vLLM-Omni always says 0 until it is done, which is no news."""
    is_news = server is not Server.VLLM_OMNI and video.server is not Server.VLLM_OMNI
    if video.progress is None or (video.progress == 0 and not is_news):
        return None
    return min(1.0, max(0.0, video.progress / 100))
