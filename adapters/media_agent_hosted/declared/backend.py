"""A backend that is an HTTP service, declared in the settings with `kind = "http"`: no code.

It is submitted to, polled, and its video is fetched. A submission may cost money and is sent once.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection

from pydantic import JsonValue

from media_agent.backend.declaration import placeholder_values
from media_agent.backend.polled import QUEUED, PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendResponseError,
    ConfigurationError,
    ContentRejectedError,
    Fault,
    GenerationFailedError,
    InvalidRequestError,
    to_info,
)
from media_agent.video.codec import describe
from media_agent_hosted.base.calls import Call
from media_agent_hosted.base.identity import answer_about
from media_agent_hosted.base.outcomes import LateVideoError, late_video
from media_agent_hosted.base.patience import Patience
from media_agent_hosted.base.refusals import (
    end_of,
    end_of_poll,
    may_be_of_poll,
    refusal_in,
)
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
from media_agent_hosted.http.auth import key_header
from media_agent_hosted.http.client import HttpApi, Reply, Transport
from media_agent_hosted.http.inputs import address_of
from media_agent_hosted.parsing.causes import Cause
from media_agent_hosted.parsing.errors import words_in
from media_agent_hosted.parsing.lenient import is_at_end, merged, share, text, trimmed
from media_agent_hosted.parsing.states import (
    State,
    may_be_done,
    spelled,
    state_beside,
    unknown_word,
)
from media_agent_hosted.parsing.videos import address_in, marks_in
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import (
    BackendEvent,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
)
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["HttpBackend"]

KIND = "http"
_DEFAULT_MODEL = "service"


class HttpBackend(PolledBackend):
    """Meets the `VideoBackend` protocol for a service whose calls are said in the settings."""

    kind = KIND
    tells_when_sending = True

    def __init__(
        self,
        settings: BackendSettings,
        *,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read the declaration; nothing is sent.

        Raises:
            ConfigurationError: it is faulty.
        """
        super().__init__(settings, clock=clock, sleep=sleep)
        self._patience = Patience()
        self._options = settings.read_options(HttpOptions)
        self._model = settings.model or _DEFAULT_MODEL
        header, scheme = self._options.auth_header()
        self._api = HttpApi(
            _base_url(settings),
            auth=key_header(settings.key, name=header, scheme=scheme),
            secrets=settings.secrets,
            allow_plain_http=self._options.allow_plain_http,
            timeout_seconds=self._options.timeout_seconds,
            transport=transport,
            sleep=sleep,
        )

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the declaration says."""
        if model not in (None, self._model):
            raise InvalidRequestError(
                f"{self.name} has no model {model!r}", hint=f"there is {self._model}"
            )
        facts = self._options.capabilities(KIND, self.name, self._model)
        wants_key = "auth" in self._options.model_fields_set
        missing = self.settings.missing_key() if wants_key else None
        cancels = self._options.cancel is not None
        return facts.model_copy(update={"cancels": cancels, "missing": missing})

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

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Poll once; a state that is neither done nor failed is work that goes on."""
        options = self._options
        reply = await self._send(options.poll, ref)
        self.postpone(ref, reply.retry_after)
        body = answer_about(
            reply, ref.operation_id, options.id, state=options.state, result=options.result
        )
        said = state_at(body, options)
        state = state_in(said, options)
        if state is State.DONE:
            return await self._finished(ref, reply, body)
        if state in (State.FAILED, State.CANCELLED):
            return self._failed(ref, body, spelled(said), is_cancelled=state is State.CANCELLED)
        if state is None:
            return await self._unknown(ref, reply, body, spelled(said))
        self._patience.forget(ref.operation_id)
        phase = QUEUED if state is State.QUEUED else trimmed(text(said) or "working")
        return JobProgressed(phase=phase, fraction=share(found_at(body, options.progress)))

    async def cancel_once(self, ref: OperationRef) -> None:
        """Ask the service to stop, where the declaration says how."""
        if self._options.cancel is None:
            await super().cancel_once(ref)
        else:
            over = (400, 404, 409, 410)  # whether it really is, the next poll says
            await self._send(self._options.cancel, ref, accepts=over)

    async def aclose(self) -> None:
        """Close the connections; the service works on."""
        await super().aclose()
        await self._api.aclose()

    def _failed(
        self, ref: OperationRef, body: JsonValue, state: str, *, is_cancelled: bool
    ) -> BackendEvent:
        """Return the end of work that failed, unless the answer may speak of the poll alone."""
        named = found_at(body, self._options.error)
        refusal = refusal_in(body, named)
        if refusal and not is_cancelled and may_be_of_poll(refusal, body, ref.operation_id):
            return end_of_poll(
                refusal, self._patience, ref, self.waited(ref), self.name, says_failed=True
            )
        why = words_in(named) or words_in(merged(body)) if refusal is None else refusal.words
        said = f"{self.name} says {trimmed(state)}" + (f": {why}" if why else "")
        is_rejected = refusal is not None and refusal.cause is Cause.CONTENT
        kind = ContentRejectedError if is_rejected else GenerationFailedError
        return JobFailed(error=to_info(kind(said)), model=ref.model)

    async def _unknown(
        self, ref: OperationRef, reply: Reply, body: JsonValue, word: str
    ) -> BackendEvent:
        """Return what a poll without a state that is known here means: work that goes on, or a no.

        Its video is fetched if all else says, again and again, that it is over.
        """
        options, waited = self._options, self.waited(ref)
        refusal = refusal_in(body, found_at(body, options.error))
        has_error = refusal is not None and refusal.is_plain
        if state_beside(word, has_error=has_error) is State.FAILED:
            return self._failed(ref, body, word, is_cancelled=False)
        if refusal is not None and (refusal.is_plain or not word):
            return end_of_poll(refusal, self._patience, ref, waited, self.name)
        progress = found_at(body, options.progress)
        event = unknown_word(self.name, word, share(progress))
        if not word:
            said = f"{self.name} says nothing at {options.state!r}: taken as work that goes on"
            event = JobProgressed(phase="working", fraction=share(progress), message=said)
        is_stuck = self._patience.is_stuck(ref.operation_id, word, waited)
        has_address = options.content is None and self._address(ref, body) is not None
        long = self._patience.is_long_stuck(
            ref.operation_id, waited, ref.data.get("deadline_seconds")
        )
        may_be = options.content is not None and (may_be_done(word) or long)
        if not is_stuck or not (is_at_end(progress) or has_address or may_be):
            return event
        with contextlib.suppress(BackendResponseError):
            return await self._fetched(ref, reply, body)
        return event

    async def _finished(self, ref: OperationRef, reply: Reply, body: JsonValue) -> BackendEvent:
        """Fetch the video of work that its service calls done."""
        try:
            return await self._fetched(ref, reply, body)
        except LateVideoError as late:
            refusal = refusal_in(body, found_at(body, self._options.error))
            if refusal is not None and refusal.is_plain and self._address(ref, body) is None:
                return end_of(refusal, self.name, ref.model)
            end = JobOutcomeUnknown(error=to_info(late), model=ref.model)
            return self._patience.late(ref.operation_id, self.waited(ref), end)

    async def _fetched(self, ref: OperationRef, reply: Reply, body: JsonValue) -> JobCompleted:
        """Fetch the video: the key goes along if it lies with the service itself.

        Raises:
            BackendResponseError: it is not there, or not yet.
        """
        url = self._address(ref, body)
        if url is None:
            raise self._no_address(ref)
        path = self.video_path(ref)
        asked = reply.url if self._options.content is None else None
        await self._api.download(url, path, asked=asked, translate=late_video)
        self._patience.forget(ref.operation_id)
        seed = ref.data.get("seed")
        return JobCompleted(
            artifacts=(await asyncio.to_thread(describe, path),),
            seed=seed if isinstance(seed, int) else None,
            model=ref.model,
            verification=self.capabilities().verification,
        )

    def _address(self, ref: OperationRef, body: JsonValue) -> str | None:
        """Return where the video is, None if an answer does not say it."""
        if self._options.content is not None:
            return address(self._options.content, self._names(ref))
        marks = ref.data.get("sent")
        sent = [str(mark) for mark in marks] if isinstance(marks, list) else []
        return address_in(found_at(body, self._options.result), sent)

    def _no_address(self, ref: OperationRef) -> LateVideoError:
        return LateVideoError(
            f"{self.name} says that {ref.operation_id} is done, and gives no address of a video "
            f"at {self._options.result!r}",
            hint=f"correct backends.{self.name}.options.result: the video is still there, and "
            "media-agent jobs resume fetches it",
        )

    async def _send(self, text: str, ref: OperationRef, accepts: Collection[int] = ()) -> Reply:
        target, headers = call(text, self._names(ref)), self._options.headers
        return await self._api.send(target.method, target.path, headers=headers, accepts=accepts)

    def _names(self, ref: OperationRef) -> dict[str, JsonValue]:
        return {"id": ref.operation_id, "model": self._model}

    def _values(self, request: VideoRequest) -> dict[str, JsonValue]:
        images = [address_of(medium) for medium in request.inputs]
        image = images[0] if images else None
        return {**placeholder_values(request, self._model), "first_frame": image}


def _base_url(settings: BackendSettings) -> str:
    if settings.base_url is None:
        fault = Fault(
            ("backends", settings.name, "base_url"), "it is missing: where is the service?"
        )
        raise ConfigurationError(f"{'.'.join(fault.place)}: {fault.problem}", faults=[fault])
    return settings.base_url
