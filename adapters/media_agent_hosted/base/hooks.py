"""What a provider writes: facts, and pure functions that build calls and read answers."""

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import JsonValue

from media_agent.errors import MediaAgentError
from media_agent_hosted.base.calls import Call, Status, Submission, Uploaded
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.http.inputs import LARGEST_INLINE, InputFile, InputForm, InputPart
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.causes import Cause
from media_agent_hosted.parsing.refusals import refusal_in
from media_agent_schemas.base import TriState
from media_agent_schemas.capabilities import CancelRule
from media_agent_schemas.facts import Verification, VerificationLevel
from media_agent_schemas.jobs import OperationRef


def wire_equal(sdk: str) -> Verification:
    """Return the level of a provider whose requests are compared with those of its SDK."""
    return Verification(
        level=VerificationLevel.WIRE_EQUAL,
        note=f"its requests equal those of {sdk}, but for differences that are listed",
    )


class PollHooks(ABC):
    """What is asked about accepted work, and what the answers mean; nothing is sent from here."""

    work_id: str = "id"
    """Where the answer to a submission names the work, such as "data.task_id"."""
    state_place: str | None = None
    """Where the answer to a poll says the state; None: at one of the usual places."""
    result_place: str | None = None
    """Where it says the address of the video; None: at one of the usual places."""

    cancelling_deletes: bool = False
    """Whether the call that stops work deletes what is over, so that its state is asked first."""

    @property
    def region(self) -> str | None:
        """The region that the settings choose, of a provider that has several."""
        return None

    @abstractmethod
    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks how far work is."""

    def parse(self, body: JsonValue) -> Status:
        """Return how far work is, by the answer to a poll; an unknown word fails nothing."""
        return read_status(body)

    def read(self, body: JsonValue, ref: OperationRef) -> Status:
        """Return the same as `parse`, where that depends on which work it is."""
        return self.parse(body)

    def tells_state(self, reply: Reply, ref: OperationRef) -> bool:
        """Return whether an HTTP error to a poll tells how far the work is, as `parse` reads it."""
        return False

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        """Return what an HTTP error to a question about work means; None: what it means anywhere.

        A failure, a rejection or an invalid request is the provider's own word that work failed.
        """
        return None

    def result(self, ref: OperationRef) -> Call | None:
        """Return the call that tells the videos of work that is done; None: the poll does."""
        return None

    def result_after(self, ref: OperationRef, body: JsonValue) -> Call | None:
        """Return that call where it needs what the poll said, such as the id of a file."""
        return self.result(ref)

    def results(self, body: JsonValue) -> JsonValue:
        """Return what an answer tells of the videos, where they are not at the usual places."""
        return body

    def content(self, ref: OperationRef) -> str | None:
        """Return the path of a video that needs the key; None: a reply has its address."""
        return None

    def cancellation(self, ref: OperationRef) -> Call | None:
        """Return the call that stops work; None: it cannot be stopped."""
        return None


class Hooks(PollHooks):
    """One provider: its facts, and what only it knows of its calls; nothing is sent from here."""

    address: ClassVar[str]
    """The base URL of its API, unless the settings say another."""
    keys_at: ClassVar[str]
    """The page where it gives out keys."""
    scheme: ClassVar[str] = "Bearer"
    """What stands before the key in the header `Authorization`."""
    models: Models
    """What is known of its models; of an instance alone where the provider lists them itself."""
    addresses: ClassVar[tuple[str, ...]] = ()
    """Where it names addresses that are kept for calls, such as "urls.get"."""
    input_form: ClassVar[InputForm] = InputForm.DATA_URI
    largest_input: ClassVar[int] = LARGEST_INLINE
    """Bytes of an input that goes along inside the request."""
    reads_urls: ClassVar[bool] = True
    """Whether it fetches inputs from addresses; false: it takes files and bytes only."""
    reads_video_files: ClassVar[bool] = True
    """Whether a video may go along as a file; false: only its address may."""
    largest_upload: ClassVar[int | None] = None
    """Bytes of an input that is uploaded first, as it is too large to go along; None: none is."""
    uploads: ClassVar[str | None] = None
    """What a plan says of uploads: which files, and how long they stay there."""
    keeps: ClassVar[timedelta | None] = None
    """How long it keeps a video at least; None: nobody says."""
    videos_need_key: ClassVar[bool] = False
    """Whether its videos, as far as they are at its own origin, are fetched with the key only."""
    callback_field: ClassVar[str | None] = None
    """The field of a submission that names an address to tell of news of the work; None: none."""
    cancel_rule: ClassVar[CancelRule] = CancelRule.NONE
    """What becomes of accepted work, and of its bill, when it is to stop."""
    bills_failed: ClassVar[TriState] = "unknown"
    """Whether work that failed there is billed."""
    lookup: ClassVar[Literal["key", "list", "candidates", "none"]] = "none"
    verification: ClassVar[Verification] = Verification(
        level=VerificationLevel.SIMULATOR, note="against a simulator of the documented API"
    )

    @abstractmethod
    def build(self, submission: Submission) -> Call:
        """Return the call that submits work."""

    def with_callback(self, call: Call, url: str) -> Call:
        """Return a submission that also names an address to tell of news of the work."""
        if self.callback_field is None or not isinstance(call.json, dict):
            return call
        return replace(call, json={**call.json, self.callback_field: url})

    def reads_parameters(self, model_id: str) -> bool:
        """Return whether a model may read parameters out of a prompt, such as a dearer length."""
        return "seedance" in model_id.lower()

    def input_value(self, part: InputPart) -> JsonValue:
        """Return how an input stands in a request; usually as its address, or encoded."""
        return part.value

    def upload(self, file: InputFile) -> Call | None:
        """Return the call that uploads an input, or that asks where to; None: it is not uploaded.

        It is asked where an input is larger than `largest_input`, or only addresses are taken.
        """
        return None

    def uploaded(self, body: JsonValue, file: InputFile) -> Uploaded | None:
        """Return what the answer to `upload` says; None: it makes no sense."""
        return None

    def search(self, key: str) -> Call | None:
        """Return the call that looks for work under our key whose answer was lost; None: none."""
        return None

    def found(self, body: JsonValue, key: str) -> JsonValue:
        """Return what the answer to a search says of the work under our key; None: nothing."""
        return None

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        """Return what a no to a submission means; None: what it means anywhere.

        It is an HTTP error, or an answer below 400 that names no accepted work. Rejected content
        is told by its codes or words, unless a provider knows better.
        """
        said = refusal_in(reply.object()) if reply.is_no else None
        is_content = said is not None and said.cause is Cause.CONTENT
        return said.before_acceptance(reply.host) if said is not None and is_content else None
