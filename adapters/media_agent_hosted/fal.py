"""fal: many video models behind one queue, at queue.fal.run.

A submission is paid for and fal honours no key, so it is sent once; see `lookup` in the facts.
"""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from media_agent.backend import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    OperationNotFoundError,
    SubmitUncertainError,
    to_info,
)
from media_agent.polled import PolledBackend
from media_agent_hosted.fal_facts import NAME, USUAL_SECONDS, checked_id, describe_model
from media_agent_hosted.fal_input import build_input, warnings_about
from media_agent_hosted.fal_models import models
from media_agent_hosted.fal_replies import (
    Status,
    Submitted,
    parse_result,
    parse_status,
    refusal_of,
    verdict_of,
)
from media_agent_hosted.http import HttpApi, Transport
from media_agent_hosted.inline import address_of
from media_agent_hosted.secrecy import key_header
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import BackendEvent, JobFailed, JobProgressed
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
        options = settings.read_options(FalOptions)
        self._max_duration = options.max_duration
        self._api = HttpApi(
            settings.base_url or BASE_URL,
            auth=key_header(settings.key, scheme="Key"),
            allow_plain_http=options.allow_plain_http,
            timeout_seconds=options.timeout_seconds,
            transport=transport,
            sleep=sleep,
        )

    @property
    def name(self) -> str:
        """Return "fal"."""
        return NAME

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
        body = build_input(request, model, await asyncio.to_thread(self._media, request))
        reply = await self._api.send(
            "POST",
            f"/{model_id}",
            json=body,
            paid=True,
            translate=partial(refusal_of, model_id=model_id),
        )
        submitted = reply.read(Submitted)
        return OperationRef(
            backend=NAME,
            model=model_id,
            operation_id=submitted.request_id,
            data={
                **self._addresses(submitted),
                "seed": request.seed,
                "warnings": list(warnings_about(request, model)),
            },
        )

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Poll; once it is over, ask for the result, as only that tells success from failure."""
        reply = await self._api.send("GET", _address(ref, "status_url"), params={"logs": "1"})
        self.postpone(ref, reply.retry_after)
        status = reply.read(Status)
        if status.request_id not in (None, ref.operation_id):
            raise OperationNotFoundError(
                f"fal answers at the address of {ref.operation_id} about other work"
            )
        event = parse_status(status)
        return await self._result(ref, status) if event is None else event

    async def cancel_once(self, ref: OperationRef) -> None:
        """Ask fal to stop; sure only while it waits in the queue."""
        reply = await self._api.send("PUT", _address(ref, "cancel_url"), accepts=(400, 404))
        if reply.is_html:
            raise reply.senseless("a web page where an API was due")

    async def aclose(self) -> None:
        """Close the connections; fal works on."""
        await super().aclose()
        await self._api.aclose()

    async def _result(self, ref: OperationRef, status: Status) -> BackendEvent:
        try:
            reply = await self._api.send(
                "GET", _address(ref, "response_url"), accepts=(400,), translate=verdict_of
            )
        except (ContentRejectedError, InvalidRequestError, GenerationFailedError) as error:
            return JobFailed(error=to_info(error), model=ref.model)
        if reply.status == 400 and not reply.is_html:  # "still in progress", whatever was said
            return JobProgressed(phase="collect")
        now = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        event = parse_result(reply, ref, status, now)
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

    def _addresses(self, submitted: Submitted) -> dict[str, str]:
        """Return the addresses of accepted work; elsewhere than at fal nobody may ask about it."""
        addresses = submitted.model_dump(exclude={"request_id"})
        try:
            return {name: self._api.own_url(url, name) for name, url in addresses.items()}
        except BackendResponseError as error:
            raise SubmitUncertainError(
                f"fal accepted it as {submitted.request_id[:100]!r}, but {error.message}",
                hint="check base_url, and look at fal what became of it",
            ) from error


def _address(ref: OperationRef, name: str) -> str:
    address = ref.data.get(name)
    if not isinstance(address, str):
        raise OperationNotFoundError(
            f"the reference to {ref.operation_id} has no {name}", hint="it is not one of fal's"
        )
    return address
