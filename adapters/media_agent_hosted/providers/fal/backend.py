"""fal: many video models behind one queue, at queue.fal.run.

A submission is paid for and fal honours no key, so it is sent once; see `lookup` in the facts.
"""

import asyncio
import contextlib
import datetime
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    to_info,
)
from media_agent.storage.addresses import parsed_address
from media_agent_hosted.base.identity import answer_about
from media_agent_hosted.base.patience import Patience
from media_agent_hosted.base.refusals import (
    accepted_as,
    end_of_poll,
    is_accepted_as,
    may_be_of_poll,
    refusal_in,
)
from media_agent_hosted.http.auth import key_header
from media_agent_hosted.http.client import HttpApi, Reply, Translate, Transport
from media_agent_hosted.http.inputs import address_of
from media_agent_hosted.http.urls import place_of
from media_agent_hosted.parsing.lenient import merged, text
from media_agent_hosted.parsing.states import State, state_of
from media_agent_hosted.parsing.videos import marks_in
from media_agent_hosted.providers.fal.facts import NAME, USUAL_SECONDS, checked_id, describe_model
from media_agent_hosted.providers.fal.input import build_input, warnings_about
from media_agent_hosted.providers.fal.models import models
from media_agent_hosted.providers.fal.replies import (
    Status,
    Submitted,
    parse_result,
    parse_status,
    read_status,
    refusal_of,
    verdict_of,
)
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import BackendEvent, JobFailed, JobOutcomeUnknown, JobProgressed
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["FalBackend"]

BASE_URL = "https://queue.fal.run"
_KEYS = "set backends.fal.key, key_env or key_file; keys are made at fal.ai/dashboard/keys"


class FalOptions(BaseModel):
    """The options under [backends.fal.options] of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    timeout_seconds: float = Field(60.0, gt=0)  # for one answer
    poll_seconds: float | None = Field(None, gt=0)
    deadline_seconds: float | None = Field(None, gt=0)
    max_duration: float = Field(USUAL_SECONDS, gt=0)  # seconds, of a model that is not mapped
    allow_plain_http: bool = False  # to another machine than this one


class FalBackend(PolledBackend):
    """Meets the `VideoBackend` protocol for every model at fal, mapped or not."""

    kind = NAME
    tells_when_sending = True

    def __init__(
        self,
        settings: BackendSettings,
        *,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read the settings; nothing is sent.

        Raises:
            ConfigurationError: an option or the address is wrong.
        """
        super().__init__(settings, clock=clock, sleep=sleep)
        self._patience = Patience()
        options = settings.read_options(FalOptions)
        self._max_duration = options.max_duration
        self._api = HttpApi(
            settings.base_url or BASE_URL,
            auth=key_header(settings.key, scheme="Key"),
            secrets=settings.secrets,
            allow_plain_http=options.allow_plain_http,
            timeout_seconds=options.timeout_seconds,
            transport=transport,
            sleep=sleep,
        )

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; an id that is not mapped is taken, and little said of it."""
        missing = self.settings.missing_key(_KEYS)
        facts = describe_model(self._id(model), missing, max_duration=self._max_duration)
        default = self._id(None)
        others = tuple(each for each in facts.models if each != default)
        return facts.model_copy(update={"models": (default, *others)})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say nothing: what prices are known stand in the catalogue."""
        return Estimate()

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Put the request into the queue and keep the addresses at which fal answers about it."""
        missing = self.settings.missing_key(_KEYS)
        if missing is not None:
            raise BackendAuthenticationError("fal needs a key, and none is set", hint=missing)
        model_id = self._id(request.backend_and_model()[1])
        model = models().get(model_id)
        own = request.model_copy(update={"options": {NAME: request.options.get(self.name, {})}})
        body = build_input(own, model, await asyncio.to_thread(self._media, request))
        reply = await self._api.send(
            "POST",
            f"/{model_id}",
            json=body,
            paid=True,
            is_accepted=partial(
                is_accepted_as,
                found=lambda body: text(merged(body).get("request_id")),
                place="request_id",
            ),
            translate=partial(refusal_of, model_id=model_id),
        )
        answer = reply.json()
        submitted = Submitted.model_validate(merged(answer))
        request_id = accepted_as(
            reply, answer, submitted.request_id or None, "JSON without a usable request_id"
        )
        return OperationRef(
            backend=self.name,
            model=model_id,
            operation_id=request_id,
            data={
                **submitted.model_dump(exclude={"request_id"}, exclude_none=True),
                "seed": request.seed,
                "sent": [*marks_in(body)],
                "warnings": list(warnings_about(request, model)),
            },
        )

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Poll; once it is over, ask for the result, as only that tells success from failure."""
        try:
            reply = await self._asked_of(ref, "status_url", params={"logs": "1"})
        except OperationNotFoundError as error:
            raise self._explained(error, ref) from error
        self.postpone(ref, reply.retry_after)
        work, waited = ref.operation_id, self.waited(ref)
        status = read_status(answer_about(reply, work, "request_id"))
        event = parse_status(status)
        if event is None:
            return await self._result(ref, status)
        refusal, state = refusal_in(reply.json()), state_of(status.status)
        if refusal and state is State.FAILED and may_be_of_poll(refusal, reply.json(), work):
            return end_of_poll(refusal, self._patience, ref, waited, reply.host, says_failed=True)
        if state is not None:
            self._patience.forget(work)
            return event
        if refusal is not None and (refusal.is_plain or not status.status):
            return end_of_poll(refusal, self._patience, ref, waited, reply.host)
        is_stuck = self._patience.is_stuck(work, status.status, waited)
        return await self._result(ref, status, event) if is_stuck else event

    async def cancel_once(self, ref: OperationRef) -> None:
        """Ask fal to stop; sure only while it waits in the queue."""
        place = self._places(ref, "cancel_url")[0]
        reply = await self._api.send("PUT", place, accepts=(400, 404))
        if reply.is_html:
            raise reply.senseless("a web page where an API was due")

    async def aclose(self) -> None:
        """Close the connections; fal works on."""
        await super().aclose()
        await self._api.aclose()

    async def _result(
        self, ref: OperationRef, status: Status, otherwise: BackendEvent | None = None
    ) -> BackendEvent:
        """Return the end; `otherwise` where nobody said that it is over, and it is not."""
        accepts = (400,) if otherwise is None else (400, 405, 409, 425)
        try:
            reply = await self._asked_of(ref, "response_url", accepts=accepts, translate=verdict_of)
        except (ContentRejectedError, InvalidRequestError, GenerationFailedError) as error:
            return JobFailed(error=to_info(error), model=ref.model)
        except OperationNotFoundError as error:  # its status was found just now
            lost = JobOutcomeUnknown(error=to_info(error), model=ref.model)
            return otherwise or self._patience.late(ref.operation_id, self.waited(ref), lost)
        if reply.status >= 400 and (otherwise is not None or not reply.is_html):
            return otherwise or JobProgressed(phase="collect")  # "still in progress"
        answer_about(reply, ref.operation_id, "request_id", usual=False)
        now = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        event = parse_result(reply, ref, status, now)
        if isinstance(event, JobOutcomeUnknown):
            return otherwise or self._patience.late(ref.operation_id, self.waited(ref), event)
        self._patience.forget(ref.operation_id)
        verification = self.capabilities(ref.model).verification
        said = ref.data.get("warnings")
        warnings = tuple(str(each) for each in said) if isinstance(said, list) else ()
        return event.model_copy(update={"verification": verification, "warnings": warnings})

    def _media(self, request: VideoRequest) -> tuple[str, ...]:
        """Read the inputs; addresses without https are for a fal on this machine only."""
        is_here = self._api.is_here
        return tuple(address_of(each, allow_plain_http=is_here) for each in request.inputs)

    def _id(self, model: str | None) -> str:
        return checked_id(model or self.settings.model)

    async def _asked_of(
        self,
        ref: OperationRef,
        name: str,
        *,
        params: Mapping[str, str] | None = None,
        accepts: Collection[int] = (),
        translate: Translate | None = None,
    ) -> Reply:
        """Ask about accepted work; where nobody knows it, at the other place where it can be."""
        *others, last = self._places(ref, name)
        for place in others:
            with contextlib.suppress(OperationNotFoundError, BackendResponseError):
                return await self._api.send(
                    "GET", place, params=params, accepts=accepts, translate=translate
                )
        return await self._api.send(
            "GET", last, params=params, accepts=accepts, translate=translate
        )

    def _places(self, ref: OperationRef, name: str) -> list[str]:
        """Return where fal answers about accepted work: at its own address and nowhere else.

        Behind another host fal may name addresses that the key must not go to, or that lack what
        stands before its paths there; where it answers below base_url is known.
        """
        named = ref.data.get(name)
        own = [named] if isinstance(named, str) and self._api.has(named) else []
        model = checked_id(ref.model).split("/")
        app = "/".join(model[: 3 if model[0] in _LONG_NAMES else 2])
        known = f"/{app}/requests/{quote(ref.operation_id, safe='')}{_BELOW[name]}"
        return [*dict.fromkeys([*own, self._api.below_base(known)])]

    def _explained(self, error: OperationNotFoundError, ref: OperationRef) -> MediaAgentError:
        """Return the error for unknown work; fal may have named another address to ask at."""
        named = ref.data.get("status_url")
        parsed = parsed_address(named) if isinstance(named, str) else None
        if parsed is None or self._api.has(str(named)):
            return error
        where = f"{parsed.scheme}://{place_of(parsed)}"
        return OperationNotFoundError(
            f"{error.message}; fal accepted {ref.operation_id} and answers about it at {where}",
            hint=f"if that is your fal, set backends.fal.base_url to {where}; the key goes to "
            "base_url only",
        )


_LONG_NAMES = ("workflows", "comfy")  # whose apps are named by three parts
_BELOW = {"status_url": "/status", "response_url": "", "cancel_url": "/cancel"}
