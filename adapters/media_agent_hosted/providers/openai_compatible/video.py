"""What servers with OpenAI's video API answer, and what that means here; all of it pure.

SGLang-Diffusion, vLLM-Omni and FastVideo speak it, each in its own way.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

from media_agent.errors import (
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
)
from media_agent_hosted.base.calls import Status
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.errors import codes_in, words_in
from media_agent_hosted.parsing.lenient import (
    Moment,
    Number,
    Text,
    Word,
    is_at_end,
    share,
    space_words,
    text,
    unwrap,
    whole,
)
from media_agent_hosted.parsing.refusals import is_fine, refusal_in
from media_agent_hosted.parsing.states import State, state_beside, state_of, state_said
from media_agent_hosted.parsing.videos import is_fetchable, videos_in
from media_agent_schemas.events import Cost, JobCompleted, Timing
from media_agent_schemas.facts import Verification
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact

_SHOWN = 5  # names in a warning
_BARE_HEX = re.compile("[0-9a-f]{32}")  # ids of FastVideo; SGLang writes them with hyphens


class Server(StrEnum):
    """Which program answers; AUTO: recognized by its replies; OPENAI: any other of that shape."""

    AUTO = "auto"
    SGLANG = "sglang"
    VLLM_OMNI = "vllm-omni"
    FASTVIDEO = "fastvideo"
    OPENAI = "openai"


class Video(BaseModel):
    """A video as a server describes it; only `id` and `status` are needed, the rest is news."""

    model_config = ConfigDict(extra="ignore")

    id: Word = ""
    status: Word = ""
    progress: JsonValue = None
    model: Text = None
    prompt: Text = None
    size: Text = None
    seconds: Number = None
    num_frames: Number = None
    fps: Number = None
    created_at: Moment = None
    completed_at: Moment = None
    expires_at: Moment = None
    urls: JsonValue = None
    error: JsonValue = None
    has_error: bool = False
    inference_time_s: Number = None
    revised_prompt: Text = None
    media_type: Text = None
    file_path: Text = None
    addresses: tuple[str, ...] = ()
    """Where the video can be fetched, as far as the server says so itself; a bucket is none."""
    said: dict[str, JsonValue] = {}
    """All of it, as it came: what was asked for may be among it."""

    @property
    def server(self) -> Server:
        """Which program wrote this, as far as its fields tell."""
        if self.id.startswith("video_gen_") or self.media_type is not None:
            return Server.VLLM_OMNI
        if self.file_path is None and "urls" not in self.model_fields_set:
            return Server.AUTO
        return Server.FASTVIDEO if _BARE_HEX.fullmatch(self.id) else Server.SGLANG

    @property
    def state(self) -> State | None:
        """How far it is; None: in a word that is not known here."""
        return state_beside(self.status, has_error=self.has_error)

    @property
    def fraction(self) -> float | None:
        """How much of it is done."""
        return share(self.progress)


def parse_video(body: JsonValue, known_as: str = "", sent: Collection[str] = ()) -> Video | None:
    """Read a video, None if this is none; also from an error, as vLLM-Omni answers failed polls.

    A poll asks about a video that is `known_as` some id, so that its answer need not say it. What
    was `sent` is no address of it.
    """
    said = unwrap(body)
    found = tuple(url for url, _ in videos_in(said, sent=sent) if is_fetchable(url))
    name, state = text(said.get("id")), state_said(said)
    refusal = refusal_in(said)
    facts = {
        **said,
        "has_error": refusal is not None and refusal.is_plain,
        "addresses": found,
        "said": said,
        "id": known_as or name,
        "status": state,
    }
    says_why = words_in(said.get("error")) and not is_fine(said.get("error"))
    if not says_why and state_of(state) is State.FAILED:
        facts["error"] = words_in(said) or (state if len(space_words(state).split()) > 1 else None)
    says_more = state or (known_as and (found or name == known_as))
    return Video.model_validate(facts) if facts["id"] and says_more else None


def parse_list(body: JsonValue) -> tuple[list[Video], int, bool | None]:
    """Read a page of videos, how many entries are none, and whether there is more if it says so.

    Raises:
        BackendResponseError: this is no list of videos.
    """
    entries = body.get("data") if isinstance(body, dict) else body
    if not isinstance(entries, list):
        raise BackendResponseError("the server's list of videos is no list")
    videos = [parse_video(entry) for entry in entries]
    has_more = body.get("has_more") if isinstance(body, dict) else None
    read = [video for video in videos if video is not None]
    return read, len(videos) - len(read), has_more if isinstance(has_more, bool) else None


def parse_models(body: JsonValue) -> tuple[str, ...]:
    """Read the names of the models that a server serves; empty if it does not say."""
    entries = body.get("data") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        return ()
    names = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    return tuple(name for name in names if isinstance(name, str))


def parse_status(video: Video, *, server: Server = Server.AUTO, cost: Cost | None = None) -> Status:
    """Return how far a video is; an unknown word is progress, as servers add words.

    Raises:
        OperationNotFoundError: it was deleted.
    """
    if video.status.casefold() == "deleted":
        raise lost(video.id)
    return Status(
        video.status,
        video.state,
        fraction=_fraction(video, server),
        may_be_over=video.addresses != () or is_at_end(video.progress),
        error=failure(video) if video.state is State.FAILED else None,
        model=video.model,
        cost=cost,
    )


def completed(
    video: Video,
    artifact: Artifact,
    ref: OperationRef,
    verification: Verification,
    *,
    served: Collection[str] = (),
    default: str = "",
    cost: Cost | None = None,
) -> JobCompleted:
    """Return the end of a video that was made, with all that the server tells.

    `served` are the models that the server lists, if it does; `default` stands for whichever.
    """
    seed, took = ref.data.get("seed"), None
    if video.created_at is not None and video.completed_at is not None:
        took = max(0.0, video.completed_at - video.created_at)
    inference = video.inference_time_s
    asked = None if ref.model == default else ref.model
    model, warning = find_model(video.model or ref.model, asked, served)
    return JobCompleted(
        artifacts=(artifact,),
        seed=seed if isinstance(seed, int) else None,
        model=model,
        verification=verification,
        prompts_sent=None if video.revised_prompt is None else (video.revised_prompt,),
        warnings=() if warning is None else (warning,),
        timing=Timing(
            total_seconds=took,
            phases={} if inference is None or inference < 0 else {"inference": inference},
        ),
        cost=cost,
    )


def find_model(
    said: str | None, asked: str | None, served: Collection[str]
) -> tuple[str | None, str | None]:
    """Return which model made a video, and the warning if it is not the one asked for.

    A server may accept any name and repeat it, or say a name of its own where none was asked for;
    what it lists is what it has loaded.
    """
    if not served:
        return said, None
    only = next(iter(served)) if len(served) == 1 else None
    model = said if said in served else only or asked
    if asked is None or asked in served:
        return model, None
    listed = ", ".join(sorted(served)[:_SHOWN])
    if model in served:
        return model, f"{asked} was asked for; {model} made the video: the server lists {listed}"
    return (
        model,
        f"{asked} was asked for, but the server lists {listed}: one of them made the video",
    )


def failure(video: Video) -> MediaAgentError:
    """Return why a video failed, in the server's words."""
    said = words_in(video.error)
    codes = codes_in(video.error)
    message = f"the server could not make {video.id}: {said or 'it does not say why'}"
    if cause_of(codes, said) is Cause.CONTENT:
        return ContentRejectedError(message, hint="change the prompt or the image")
    if any(400 <= (whole(code) or 0) < 500 for code in codes):
        return InvalidRequestError(message, hint="change what the server complains about")
    return GenerationFailedError(message, hint="the server's log says more")


def lost(video_id: str) -> OperationNotFoundError:
    """Return the error for a video that its server no longer knows; nobody knows its outcome."""
    return OperationNotFoundError(
        f"the server does not know video {video_id}: it was restarted and forgot all its videos, "
        "or somebody deleted this one",
        hint="look for the video in the server's output folder",
    )


def read_expiry(video: Video, now: float) -> datetime | None:
    """Return when the server forgets the video; None where it says none, or one that is over.

    What is over cannot be meant of a video that is just being given: a clock is wrong, or 0 is
    none.
    """
    if video.expires_at is None or video.expires_at <= now:
        return None
    try:
        return datetime.fromtimestamp(video.expires_at, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _fraction(video: Video, server: Server) -> float | None:
    """Return the progress; some always say 0 until the video is done, which is no news."""
    says_none = {Server.VLLM_OMNI, Server.FASTVIDEO} & {server, video.server}
    return video.fraction if video.fraction or not says_none else None
