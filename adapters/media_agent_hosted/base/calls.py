"""What passes between a provider and its base: calls to make, and what answers mean; all data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from media_agent.errors import MediaAgentError
from media_agent_hosted.http.client import FilePart
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import HostedModel
from media_agent_hosted.models.fields import Fields, build_fields
from media_agent_hosted.parsing.states import State
from media_agent_schemas.events import Cost, JobCompleted, JobFailed, JobOutcomeUnknown
from media_agent_schemas.request import VideoMode, VideoRequest

End = JobCompleted | JobFailed | JobOutcomeUnknown
"""How work ends of which the videos were looked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    """Below the base URL; or a whole address with the provider itself."""
    json: JsonValue = None
    files: Mapping[str, FilePart] | None = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    accepts: tuple[int, ...] = ()
    """Statuses from 400 up that are no error here."""
    named: str | None = None
    """Where the answer to the submission may name another address for this call, such as
    "urls.get"; it is asked first if it is the provider's own."""
    is_known_again: bool = False
    """Whether the provider knows a submission again by a key in it, so that it may be repeated."""
    content: bytes | None = None
    """The body as it is, such as a file that is uploaded."""
    is_keyless: bool = False
    """Whether it goes without the key, to whatever https address the provider named for it."""
    unpacks: bool = False
    """Whether videos may stand in the answer as base64; they are decoded to files as they come."""
    work_id: str | None = None
    """Where the answer to this submission names the work; None: where the provider always does."""
    timeout_seconds: float | None = None
    """For the answer, where the call blocks until a video is made; None: as for any other."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What the answer to an upload says."""

    address: str
    """What names the file in a request from now on."""
    then: Call | None = None
    """The call that sends the file itself, where the first one only said where to."""
    last: Call | None = None
    """The call that says that it is there, where the provider asks for that."""
    check: Call | None = None
    """The call that is asked until it says that the file may be used."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A negotiated request that is about to be sent."""

    request: VideoRequest
    model_id: str
    model: HostedModel | None
    """What is known of the model in the mode of the request; None: it is not mapped."""
    inputs: tuple[JsonValue, ...]
    """The inputs of the request, in order, in the form that the provider takes."""
    options: Mapping[str, JsonValue]
    """What the request says for this backend alone."""
    key: str
    """Our own name for the work; the same for the same work."""
    notes: tuple[str, ...] = ()
    """What was done to the inputs, so that they fit."""

    @property
    def mode(self) -> VideoMode:
        """The kind of work."""
        return self.request.infer_mode()

    def fields(self) -> Fields:
        """Return the fields that the model takes, as its entry in models.yaml names them."""
        return build_fields(self.request, self.model, self.inputs, self.options)


@dataclass(frozen=True, slots=True)
class Status:
    """How far work is, as the answer to a poll says it."""

    word: str
    """Its state, as the provider spells it; "" where it says none."""
    state: State | None
    """What that means; None: a word that is not known here, which fails nothing."""
    phase: str | None = None
    """What it does now; its word, if nothing else is said."""
    fraction: float | None = None
    message: str | None = None
    may_be_over: bool = False
    """Whether more than its word hints at the end, such as a full progress or an address."""
    error: MediaAgentError | None = None
    """Why it failed; None: as its words say."""
    why: JsonValue = None
    """What stands where its error is due; None: at the usual places."""
    model: str | None = None
    """The model that made it; None: the one that was asked for."""
    seconds: float | None = None
    """How long the model worked."""
    cost: Cost | None = None
    own_id: str | None = None
    """What the provider calls the video, where it continues it by that name."""
    warnings: tuple[str, ...] = ()
    """What the caller should know of work that is done, such as videos that were withheld."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer about one piece of work, and how far that is."""

    reply: Reply
    body: JsonValue
    """Its JSON, without what it says of other work."""
    status: Status
