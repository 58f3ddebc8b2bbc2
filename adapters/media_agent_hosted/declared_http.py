"""A backend that is an HTTP service, declared in the settings with `kind = "http"`: no code.

It is submitted to, polled, and its film is fetched. A submission may cost money and is sent once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

from pydantic import JsonValue

from media_agent.backend import BackendSettings
from media_agent.declared import values_of
from media_agent.errors import (
    BackendResponseError,
    ConfigurationError,
    Fault,
    GenerationFailedError,
    InvalidRequestError,
    to_info,
)
from media_agent.polled import PolledBackend
from media_agent.video import describe
from media_agent_hosted.http import HttpApi, Reply, Transport
from media_agent_hosted.http_declaration import (
    HttpOptions,
    address,
    build_body,
    call,
    fraction,
    value_at,
)
from media_agent_hosted.inline import address_of
from media_agent_hosted.replies import trimmed
from media_agent_hosted.secrecy import key_header
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
        self._options = settings.read_options(HttpOptions)
        self._model = settings.model or _DEFAULT_MODEL
        header, scheme = self._options.auth_header()
        self._api = HttpApi(
            _base_url(settings),
            auth=key_header(settings.key, name=header, scheme=scheme),
            allow_plain_http=self._options.allow_plain_http,
            timeout_seconds=self._options.timeout_seconds,
            transport=transport,
            sleep=sleep,
        )

    @property
    def name(self) -> str:
        """Return the name of its section."""
        return self.settings.name or KIND

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the declaration says."""
        if model not in (None, self._model):
            raise InvalidRequestError(
                f"{self.name} has no model {model!r}", hint=f"there is {self._model}"
            )
        facts = self._options.capabilities(KIND, self.name, self._model)
        way_out = f"set backends.{self.name}.key_env or key_file"
        wants_key = "auth" in self._options.model_fields_set
        missing = self.settings.missing_key(way_out) if wants_key else None
        cancels = self._options.cancel is not None
        return facts.model_copy(update={"cancels": cancels, "missing": missing})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the declared price; None where none was declared."""
        return self._options.estimate(request)

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Send the submission, once, and keep the service's name for the work."""
        values = await asyncio.to_thread(self._values, request)
        target = call(self._options.submit, values)
        header = self._options.idempotency_header
        reply = await self._api.send(
            target.method,
            target.path,
            json=build_body(self._options.body, values),
            headers=self._options.headers | ({} if header is None else {header: key}),
            paid=True,
            is_known_again=header is not None,
        )
        found = value_at(reply.json(), self._options.id)
        if not isinstance(found, str | int) or isinstance(found, bool) or found == "":
            raise reply.senseless(f"nothing at {self._options.id!r} that names the work")
        return OperationRef(
            backend=self.name,
            model=self._model,
            operation_id=str(found),
            data={"seed": request.seed},
        )

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Poll once; a state that is neither done nor failed is work that goes on."""
        options = self._options
        reply = await self._send(options.poll, ref)
        self.postpone(ref, reply.retry_after)
        body = reply.json()
        state = value_at(body, options.state)
        if not isinstance(state, str | int | bool):
            raise BackendResponseError(
                f"{self.name} answered a poll with nothing at {options.state!r}",
                hint=f"correct backends.{self.name}.options.state",
            )
        if str(state) in options.done:
            return await self._finished(ref, reply, body)
        if str(state) in options.failed:
            said = value_at(body, options.error)
            why = f"{self.name} says {state}" + ("" if said is None else f": {trimmed(str(said))}")
            return JobFailed(error=to_info(GenerationFailedError(why)), model=ref.model)
        done = fraction(value_at(body, options.progress))
        return JobProgressed(phase=trimmed(str(state)), fraction=done)

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

    async def _finished(self, ref: OperationRef, reply: Reply, body: JsonValue) -> BackendEvent:
        """Fetch the film: the key goes along if it lies with the service itself."""
        if self._options.content is not None:
            url: JsonValue = address(self._options.content, self._names(ref))
        else:
            url = value_at(body, self._options.result)
            if isinstance(url, list) and len(url) == 1:
                url = url[0]
        if not isinstance(url, str) or not url:
            error = BackendResponseError(
                f"{self.name} says that {ref.operation_id} is done, and gives no address of a film "
                f"at {self._options.result!r}",
                hint=f"correct backends.{self.name}.options.result: the film is still there, and "
                "media-agent jobs resume fetches it",
            )
            return JobOutcomeUnknown(error=to_info(error), model=ref.model)
        path = self.film_path(ref)
        asked = None if self._options.content is not None else reply.url
        await self._api.download(url, path, asked=asked)
        seed = ref.data.get("seed")
        return JobCompleted(
            artifacts=(await asyncio.to_thread(describe, path),),
            seed=seed if isinstance(seed, int) else None,
            model=ref.model,
            verification=self.capabilities().verification,
        )

    async def _send(self, text: str, ref: OperationRef, accepts: Collection[int] = ()) -> Reply:
        target, headers = call(text, self._names(ref)), self._options.headers
        return await self._api.send(target.method, target.path, headers=headers, accepts=accepts)

    def _names(self, ref: OperationRef) -> dict[str, JsonValue]:
        return {"id": ref.operation_id, "model": self._model}

    def _values(self, request: VideoRequest) -> dict[str, JsonValue]:
        pictures = [address_of(medium) for medium in request.inputs]
        picture = pictures[0] if pictures else None
        return {**values_of(request, self._model), "first_frame": picture}


def _base_url(settings: BackendSettings) -> str:
    if settings.base_url is None:
        fault = Fault(
            ("backends", settings.name, "base_url"), "it is missing: where is the service?"
        )
        raise ConfigurationError(f"{'.'.join(fault.place)}: {fault.problem}", faults=[fault])
    return settings.base_url
