"""A backend that is an HTTP service, declared in the settings with `kind = "http"`: no code.

It is submitted to, polled, and its video is fetched. A submission may cost money and is sent once.
"""

import asyncio
from dataclasses import replace
from typing import Unpack

from pydantic import JsonValue

from media_agent.backend.declaration import find_first_frame, placeholder_values
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendResponseError,
    ConfigurationError,
    ContentRejectedError,
    Fault,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    to_info,
)
from media_agent.video.probe import describe
from media_agent_hosted.base.calls import Answer, Call, End, Status
from media_agent_hosted.base.outcomes import LateVideoError, completed, end_of, marks_of
from media_agent_hosted.base.service import Connection, Means, ServiceBackend
from media_agent_hosted.base.submit import submit
from media_agent_hosted.declared.declaration import (
    HttpOptions,
    address,
    build_body,
    call,
    found_at,
    state_at,
    state_in,
)
from media_agent_hosted.http.auth import written_header
from media_agent_hosted.http.inputs import address_of
from media_agent_hosted.parsing.causes import Cause
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import is_at_end, share, text, trim, unwrap
from media_agent_hosted.parsing.refusals import refusal_in
from media_agent_hosted.parsing.states import State, spell, state_beside
from media_agent_hosted.parsing.videos import address_in, marks_in
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import JobOutcomeUnknown
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["HttpBackend"]

KIND = "http"
_DEFAULT_MODEL = "service"


class HttpBackend(ServiceBackend):
    """Meets the `VideoBackend` protocol for a service whose calls are said in the settings."""

    kind = KIND

    def __init__(self, settings: BackendSettings, **means: Unpack[Means]) -> None:
        """Read the declaration; nothing is sent.

        Raises:
            ConfigurationError: it is faulty.
        """
        self._options = settings.read_options(HttpOptions)
        self._model = settings.model or _DEFAULT_MODEL
        self.work_id = self._options.id
        self.state_place, self.result_place = self._options.state, self._options.result
        super().__init__(settings, **means)

    def connection(self) -> Connection:
        """Return the address in the settings, and the header with the key as declared."""
        return Connection(
            _base_url(self.settings),
            auth=written_header(self.settings.key, self._options.auth),
            allow_plain_http=self._options.allow_plain_http,
            timeout_seconds=self._options.timeout_seconds,
        )

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the declaration says."""
        if model not in (None, self._model):
            raise InvalidRequestError(
                f"{self.name} has no model {model!r}", hint=f"there is {self._model}"
            )
        facts = self._options.capabilities(KIND, self.name, self._model)
        wants_key = self.settings.names_key or "auth" in self._options.model_fields_set
        missing = self.settings.missing_key() if wants_key else None
        rule = self._options.cancel_rule if self._options.cancel else CancelRule.NONE
        return facts.model_copy(update={"cancel_rule": rule, "missing": missing})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the declared price; None where none was declared."""
        return self._options.estimate(request)

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Send the submission, once, and keep the service's name for the work."""
        values = await asyncio.to_thread(self._values, request)
        target = call(self._options.submit, values)
        header, options = self._options.idempotency_header, self._options
        sent = build_body(self._options.body, values)
        name, _ = await submit(
            self._api,
            Call(
                target.method,
                target.path,
                json=sent,
                headers=options.headers | ({} if header is None else {header: key}),
                is_known_again=header is not None,
            ),
            place=options.id,
            missing=f"nothing at {options.id!r} that names the work",
            found=lambda body: found_at(body, options.id),
            error=lambda body: found_at(body, options.error),
        )
        return OperationRef(
            backend=self.name,
            model=self._model,
            operation_id=name,
            data={"seed": request.seed, "sent": [*marks_in(sent)]},
        )

    def poll(self, ref: OperationRef) -> Call:
        """Return the declared call that asks how far work is."""
        return self._call(self._options.poll, ref)

    def parse(self, body: JsonValue) -> Status:
        """Return how far work is; a declared word counts before what it means elsewhere."""
        options = self._options
        said, named = state_at(body, options), found_at(body, options.error)
        word, refusal = spell(said), refusal_in(body, named)
        has_error = refusal is not None and refusal.is_plain
        state = state_in(said, options) or state_beside(word, has_error=has_error)
        progress = found_at(body, options.progress)
        nothing = f"{self.name} says nothing at {options.state!r}: taken as work in progress"
        return Status(
            word,
            state,
            phase=trim(text(said) or "working"),
            fraction=share(progress),
            message=None if word else nothing,
            may_be_over=is_at_end(progress),
            error=self._failure(body, word) if state is State.FAILED else None,
            why=named,
        )

    def content(self, ref: OperationRef) -> str | None:
        """Return the declared path of the video; None: an answer says its address."""
        path = self._options.content
        return None if path is None else address(path, self._names(ref))

    def cancellation(self, ref: OperationRef) -> Call | None:
        """Return the declared call that stops work; whether it really is, the next poll says."""
        cancel, over = self._options.cancel, (400, 404, 409, 410)
        return None if cancel is None else replace(self._call(cancel, ref), accepts=over)

    async def finish(self, ref: OperationRef, answer: Answer, *, is_over: bool) -> End:
        """Fetch the video: the key is sent along if the service itself has it."""
        path = self.content(ref)
        url = path or address_in(found_at(answer.body, self._options.result), marks_of(ref))
        try:
            if url is None:
                raise self._no_address(ref)
            asked = answer.reply.url if path is None else None
            video = await self.download(ref, url, asked=asked)
        except BackendResponseError as late:
            if is_over and not isinstance(late, LateVideoError):
                raise
            refusal = refusal_in(answer.body, answer.status.why)
            if refusal is not None and refusal.is_plain and url is None:
                return end_of(refusal, self.name, ref.model)
            return JobOutcomeUnknown(error=to_info(late), model=ref.model)
        artifact = await asyncio.to_thread(describe, video)
        end = completed((artifact,), answer.body, ref, answer.status)
        return end.model_copy(update={"verification": self.capabilities().verification})

    def _failure(self, body: JsonValue, state: str) -> MediaAgentError:
        """Return why work failed, in the words of the service."""
        named = found_at(body, self._options.error)
        refusal = refusal_in(body, named)
        why = refusal.words if refusal else words_in(named) or words_in(unwrap(body))
        is_rejected = refusal is not None and refusal.cause is Cause.CONTENT
        kind = ContentRejectedError if is_rejected else GenerationFailedError
        return kind(f"{self.name} says {trim(state)}" + (f": {why}" if why else ""))

    def _no_address(self, ref: OperationRef) -> LateVideoError:
        return LateVideoError(
            f"{self.name} says that {ref.operation_id} is done, and gives no address of a video "
            f"at {self._options.result!r}",
            hint=f"correct backends.{self.name}.options.result: the video is still there, and "
            "media-agent jobs resume fetches it",
        )

    def _call(self, text: str, ref: OperationRef) -> Call:
        target = call(text, self._names(ref))
        return Call(target.method, target.path, headers=self._options.headers)

    def _names(self, ref: OperationRef) -> dict[str, JsonValue]:
        return {"id": ref.operation_id, "model": self._model}

    def _values(self, request: VideoRequest) -> dict[str, JsonValue]:
        medium = find_first_frame(request)
        image = None if medium is None else address_of(medium)
        return {**placeholder_values(request, self._model), "first_frame": image}


def _base_url(settings: BackendSettings) -> str:
    if settings.base_url is None:
        fault = Fault(
            ("backends", settings.name, "base_url"), "it is missing: where is the service?"
        )
        raise ConfigurationError(f"{'.'.join(fault.place)}: {fault.problem}", faults=[fault])
    return settings.base_url
