"""Your own server that speaks OpenAI's video API: SGLang-Diffusion, vLLM-Omni.

Both keep their videos in memory only: after a restart they know none. A lost video is said to be
lost and never asked for again by itself.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import quote

from media_agent.backend import BackendSettings
from media_agent.errors import (
    ConfigurationError,
    MediaAgentError,
    OperationNotFoundError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.polled import PolledBackend
from media_agent_hosted.http import FilePart, HttpApi, Transport
from media_agent_hosted.inline import read_medium
from media_agent_hosted.openai_errors import (
    FailedPollError,
    NoFilmError,
    NoVideosError,
    error_of_film,
    error_of_poll,
    refusal_of_video,
)
from media_agent_hosted.openai_facts import (
    DEFAULT_MODEL,
    NAME,
    NO_ADDRESS,
    api_address,
    describe_model,
    read_settings,
)
from media_agent_hosted.openai_form import build_form, build_image_url, first_frame, form_parts
from media_agent_hosted.openai_lookup import find_video
from media_agent_hosted.openai_video import (
    BLINDLY,
    Server,
    Video,
    completed,
    expiry,
    lost,
    no_cost,
    parse_models,
    parse_status,
    parse_video,
)
from media_agent_hosted.secrecy import key_header
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import (
    BackendEvent,
    JobFailed,
    JobProgressed,
)
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

__all__ = ["OpenAICompatibleBackend"]

_LARGEST_PICTURE = 30 * 2**20  # bytes; what vLLM-Omni takes
_PATIENCE = 3  # polls that may say "completed" before its film can be fetched


class OpenAICompatibleBackend(PolledBackend):
    """Meets the `VideoBackend` protocol for one server; its replies show which program."""

    bills = False
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
            ConfigurationError: an option or the base_url is wrong.
        """
        super().__init__(settings, clock=clock, sleep=sleep)
        self._config, self._defaults = read_settings(settings)
        self._model = settings.model or DEFAULT_MODEL
        self._known_api: HttpApi | None = None
        if settings.base_url is not None:
            self._known_api = HttpApi(
                api_address(settings.base_url),
                auth=key_header(settings.key, scheme="Bearer"),
                allow_plain_http=self._config.allow_plain_http or settings.key is None,
                timeout_seconds=self._config.timeout_seconds,
                transport=transport,
                sleep=sleep,
            )
        self._checked = self.capabilities().verification
        self._without_film: dict[str, int] = {}

    @property
    def name(self) -> str:
        """Return "openai-compatible"."""
        return NAME

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what is known of a model; every name is taken, as only the server knows its own."""
        limits = describe_model(model or self._model, self._config, self._defaults)
        address = {
            "local": self._known_api is not None and self._known_api.is_here,
            "missing": NO_ADDRESS if self._known_api is None else None,
        }
        return limits.model_copy(update={"models": (self._model,), **address})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say that one's own hardware has no price; how long it takes nobody knows."""
        return Estimate(cost_usd=0.0, source=no_cost().source)

    async def models(self) -> tuple[str, ...]:
        """Ask the server which models it serves."""
        return parse_models((await self._api.send("GET", "/models")).json())

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Send the form, once, and keep the id of the video."""
        form, picture = await self._build(request)
        try:
            reply = await self._api.send(
                "POST",
                "/videos",
                files=form_parts(form, picture),
                paid=True,
                translate=refusal_of_video,
            )
        except NoVideosError as error:
            raise await self._explained(error, form.get("model")) from error
        video = parse_video(reply.json())
        if video is None or not video.can_be_asked_for:
            raise reply.senseless("without a video")
        return self._ref(request, video)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look through the server's list for the one video that can be this request's.

        It repeats size and length, vLLM-Omni the prompt too. Several that fit are none.
        """
        known = await super().find(request, key=key, since=since)
        if known is not None:
            return known
        form, _ = await self._build(request)
        taken = {ref.operation_id for _, ref in self._submitted.values()}
        video = await find_video(self._api, form, since=since, taken=taken)
        if video is None or not video.can_be_asked_for:
            return None
        how = "by its prompt" if video.prompt is not None else BLINDLY
        ref = self._ref(request, video)
        ref = ref.model_copy(update={"data": {**ref.data, "found": how}})
        return self._stamped(ref, key, since.timestamp(), self._deadline(request))

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Poll the video; once it is complete, fetch its film."""
        video = await self._video(ref)
        if video is None:
            raise lost(ref.operation_id)
        event = parse_status(video, server=self._server(ref))
        return await self._film(ref, video) if event is None else event

    async def cancel_once(self, ref: OperationRef) -> None:
        """Abort on vLLM-Omni; a finished video is left alone, as DELETE would remove its film."""
        if self._server(ref) is not Server.VLLM_OMNI:
            raise UnsupportedRequestError(
                f"{self._api.host} cannot stop {ref.operation_id}",
                hint="only vLLM-Omni can; SGLang would forget the video and work on",
            )
        video = await self._video(ref)
        if video is None or video.status not in ("queued", "in_progress"):
            return
        gone_or_over = (404, 409)
        await self._api.send("DELETE", _path(ref.operation_id), accepts=gone_or_over)

    async def aclose(self) -> None:
        """Close the connections; the server works on."""
        await super().aclose()
        if self._known_api is not None:
            await self._known_api.aclose()

    @property
    def _api(self) -> HttpApi:
        """The server, which need not be known before it is asked.

        Raises:
            ConfigurationError: there is no base_url.
        """
        if self._known_api is None:
            what, _, hint = NO_ADDRESS.partition(": ")
            raise ConfigurationError(f"{NAME} lacks {what}: where is your server?", hint=hint)
        return self._known_api

    async def _build(self, request: VideoRequest) -> tuple[dict[str, str], FilePart | None]:
        """Return the form, and the first frame where it goes along as a file."""
        _, model = request.backend_and_model()
        model = model or self._model
        options = self._defaults | request.options.get(NAME, {})
        form = build_form(
            request,
            {name: value for name, value in options.items() if name != "deadline_seconds"},
            model=None if model == DEFAULT_MODEL else model,
            server=self._config.server,
        )
        frame = first_frame(request)
        if frame is None:
            return form, None
        if frame.url is not None:
            return form | build_image_url(frame.url, self._config.server), None
        content, mime_type = await asyncio.to_thread(read_medium, frame, largest=_LARGEST_PICTURE)
        return form, (f"first_frame.{mime_type.partition('/')[2]}", content, mime_type)

    def _ref(self, request: VideoRequest, video: Video) -> OperationRef:
        _, model = request.backend_and_model()
        server = self._config.server if self._config.server is not Server.AUTO else video.server
        return OperationRef(
            backend=NAME,
            model=model or self._model,
            operation_id=video.id,
            data={"server": server.value, "seed": request.seed},
        )

    def _server(self, ref: OperationRef) -> Server:
        """Return which program took the video, as the reference says it."""
        try:
            return Server(str(ref.data.get("server")))
        except ValueError:
            return self._config.server

    async def _video(self, ref: OperationRef) -> Video | None:
        """Poll; None: the server knows no such video. A failed one may come as an HTTP error."""
        try:
            reply = await self._api.send("GET", _path(ref.operation_id), translate=error_of_poll)
        except FailedPollError as told:
            return told.video
        except OperationNotFoundError:
            return None
        video = parse_video(reply.json())
        if video is None:
            raise reply.senseless("no video where one was due")
        return video

    async def _film(self, ref: OperationRef, video: Video) -> BackendEvent:
        """Say where the film is, or fetch it where that needs the key."""
        named = video.address
        address = None if named is None else self._api.resolved(named, _path(video.id))
        if address is not None and not self._api.has(address) and "://" in address:
            artifact = Artifact(uri=address, expires_at=expiry(video))
            return completed(video, artifact, ref, self._checked)
        url, path = address or f"{_path(video.id)}/content", self.film_path(ref)
        try:
            await self._api.download(url, path, translate=error_of_film)
        except NoFilmError as error:
            return self._waited_for(ref, error)
        self._without_film.pop(ref.operation_id, None)
        return completed(video, Artifact(path=str(path)), ref, self._checked)

    def _waited_for(self, ref: OperationRef, error: NoFilmError) -> BackendEvent:
        """Give a film a few polls to appear: a video may be complete before its file is."""
        missed = self._without_film.get(ref.operation_id, 0) + 1
        self._without_film[ref.operation_id] = missed
        if missed < _PATIENCE:
            return JobProgressed(phase="collect")
        del self._without_film[ref.operation_id]
        return JobFailed(error=to_info(error), model=ref.model, cost=no_cost())

    async def _explained(self, error: NoVideosError, model: str | None) -> MediaAgentError:
        """Return what a 404 for a new video means: perhaps only this model is not served."""
        served: tuple[str, ...] = ()
        with contextlib.suppress(MediaAgentError):
            served = await self.models()
        return error.explained(model, served)


def _path(video_id: str) -> str:
    return f"/videos/{quote(video_id, safe='')}"
