"""The base of hosted providers: an author writes the hooks, and all that is sent is sent here."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendAuthenticationError
from media_agent_hosted.base.calls import Call, Submission
from media_agent_hosted.base.describe import describe
from media_agent_hosted.base.fields import warnings_about
from media_agent_hosted.base.hooks import Hooks
from media_agent_hosted.base.poller import Poller
from media_agent_hosted.base.submit import submit
from media_agent_hosted.http.auth import Auth, key_header
from media_agent_hosted.http.client import HttpApi, Transport
from media_agent_hosted.http.inputs import address_of
from media_agent_hosted.parsing.lenient import merged, text, value_at
from media_agent_hosted.parsing.videos import marks_in
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["HostedBackend", "ProviderOptions"]


class ProviderOptions(BaseModel):
    """The options under [backends.NAME.options] that every provider has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    timeout_seconds: float = Field(default=60.0, gt=0, description="for one answer")
    poll_seconds: float | None = Field(
        default=None,
        gt=0,
        description="first pause between two polls, 2 unless said; they grow to 15",
    )
    deadline_seconds: float | None = Field(
        default=None, gt=0, description="for a video, 7200 unless said; then it is asked to stop"
    )
    max_duration: float = Field(
        default=5.0, gt=0, description="seconds that a model outside the table makes at once"
    )
    allow_plain_http: bool = Field(
        default=False, description="let the key travel without TLS to another machine than this one"
    )


class HostedBackend(Hooks, PolledBackend):
    """Meets the `VideoBackend` protocol for a provider that queues work and is polled."""

    tells_when_sending = True

    options_type: ClassVar[type[ProviderOptions]] = ProviderOptions

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
        self.options = settings.read_options(self.options_type)
        self._api = HttpApi(
            settings.base_url or self.address,
            auth=self.auth(),
            secrets=settings.secrets,
            allow_plain_http=self.options.allow_plain_http,
            timeout_seconds=self.options.timeout_seconds,
            transport=transport,
            sleep=sleep,
        )
        self._poller = Poller(self, self, self._api, clock)

    def auth(self) -> Auth:
        """Return what makes the headers with the key; a signature sees the request it is for."""
        return key_header(self.settings.key, scheme=self.scheme)

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; an id that is not mapped is taken, and little said of it."""
        model_id, default = self._id(model), self._id(None)
        facts = describe(self.models.by_id.get(model_id), model_id, self.options.max_duration)
        return Capabilities.model_validate(
            {
                "backend": self.name,
                "model": model_id,
                "models": (default, *(each for each in self.models.by_id if each != default)),
                "cancels": self.cancels,
                "lookup": self.lookup,
                "verification": self.verification,
                "missing": self._missing(),
                **facts,
            }
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say nothing: what prices are known stand in the catalogue."""
        return Estimate()

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Send the request and keep what finds the work again."""
        missing = self._missing()
        if missing is not None:
            raise BackendAuthenticationError(
                f"{self.name} needs a key, and none is set", hint=missing
            )
        submission = await self._submission(request, key)
        call = self.build(submission)
        name, body = await submit(
            self._api,
            call,
            place=self.work_id,
            missing=f"JSON without a usable {self.work_id}",
            translate=partial(self.refusal, model_id=submission.model_id),
        )
        return self._ref(submission, call, name, body)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work whose answer was lost, where the provider can be asked for our key."""
        known, call = await super().find(request, key=key, since=since), self.search(key)
        if known is not None or call is None:
            return known
        reply = await self._poller.send(call)
        body = self.found(reply.json(), key)
        name = self._work_in(body)
        if name is None:
            return None
        submission = await self._submission(request, key)
        ref = self._ref(submission, self.build(submission), name, body)
        return self._stamped(ref, key, since.timestamp(), self._deadline(request))

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Ask how far work is, and for its videos once it is done."""
        return await self._poller.status(ref)

    async def cancel_once(self, ref: OperationRef) -> None:
        """Ask the provider to stop, where it can."""
        call = self.cancellation(ref)
        if call is None:
            await super().cancel_once(ref)
        else:
            await self._poller.cancel(call, ref)

    async def aclose(self) -> None:
        """Close the connections; the provider works on."""
        await super().aclose()
        await self._api.aclose()

    async def _submission(self, request: VideoRequest, key: str) -> Submission:
        model_id = self._id(request.split_model()[1])
        return Submission(
            request=request,
            model_id=model_id,
            model=self.models.by_id.get(model_id),
            inputs=await asyncio.to_thread(self._inputs, request),
            options=request.options.get(self.name, {}),
            key=key,
        )

    def _inputs(self, request: VideoRequest) -> tuple[str, ...]:
        """Read the inputs; addresses without https are for a provider on this machine only."""
        return tuple(
            address_of(
                each,
                form=self.input_form,
                largest=self.largest_input,
                allow_plain_http=self._api.is_here,
            )
            for each in request.inputs
        )

    def _ref(self, submission: Submission, call: Call, name: str, body: JsonValue) -> OperationRef:
        said = merged(body)
        named = {place: text(value_at(said, place)) for place in self.addresses}
        warnings = warnings_about(submission.request, submission.model)
        return OperationRef(
            backend=self.name,
            model=submission.model_id,
            operation_id=name,
            data={
                **{place: url for place, url in named.items() if url is not None},
                "seed": submission.request.seed,
                "sent": [*marks_in(call.json)],
                "warnings": [*warnings],
            },
        )

    def _work_in(self, body: JsonValue) -> str | None:
        return text(value_at(merged(body), self.work_id))

    def _id(self, model: str | None) -> str:
        return self.models.checked_id(model or self.settings.model)

    def _missing(self) -> str | None:
        return self.settings.missing_key(self.keys_at)
