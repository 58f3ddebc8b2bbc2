"""Your own server that speaks OpenAI's video API: SGLang-Diffusion, vLLM-Omni.

Both keep their videos in memory only: after a restart they know none. A lost video is said to be
lost and never asked for again by itself.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from urllib.parse import quote

from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    ConfigurationError,
    MediaAgentError,
    OperationNotFoundError,
    UnsupportedRequestError,
    VideoNotFetchedError,
    to_info,
)
from media_agent.ingest.inline import is_inline
from media_agent_hosted.base.calls import Call
from media_agent_hosted.base.identity import answer_about
from media_agent_hosted.base.patience import Patience
from media_agent_hosted.base.refusals import (
    end_of_poll,
    may_be_of_poll,
    refusal_in,
)
from media_agent_hosted.base.submit import submit
from media_agent_hosted.http.auth import key_header
from media_agent_hosted.http.client import FilePart, HttpApi, Reply, Transport
from media_agent_hosted.http.inputs import read_medium
from media_agent_hosted.parsing.lenient import is_at_end, merged
from media_agent_hosted.parsing.states import State, may_be_done, state_of, state_said
from media_agent_hosted.parsing.videos import is_video_by_name, marks_in
from media_agent_hosted.providers.openai_compatible.errors import (
    FailedPollError,
    NoVideoError,
    NoVideosError,
    error_of_poll,
    error_of_video,
    refusal_of_video,
)
from media_agent_hosted.providers.openai_compatible.facts import (
    DEFAULT_MODEL,
    NAME,
    NO_ADDRESS,
    api_address,
    describe_model,
    read_settings,
)
from media_agent_hosted.providers.openai_compatible.form import (
    build_form,
    build_image_url,
    first_frame,
    form_parts,
)
from media_agent_hosted.providers.openai_compatible.lookup import find_video
from media_agent_hosted.providers.openai_compatible.video import (
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
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import (
    BackendEvent,
    JobOutcomeUnknown,
)
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

__all__ = ["OpenAICompatibleBackend"]

_LARGEST_IMAGE = 30 * 2**20  # bytes; what vLLM-Omni takes


class OpenAICompatibleBackend(PolledBackend):
    """Meets the `VideoBackend` protocol for one server; its replies show which program."""

    bills = False
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
                secrets=settings.secrets,
                allow_plain_http=self._config.allow_plain_http or settings.key is None,
                timeout_seconds=self._config.timeout_seconds,
                transport=transport,
                sleep=sleep,
            )
        self._checked = self.capabilities().verification
        self._patience = Patience()
        self._sent_at: dict[str, float] = {}
        self._models_served: tuple[str, ...] | None = None

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what is known of a model; every name is taken, as only the server knows its own."""
        capabilities = describe_model(model or self._model, self._config, self._defaults)
        address = {
            "local": self._known_api is not None and self._known_api.is_here,
            "missing": NO_ADDRESS if self._known_api is None else None,
        }
        return capabilities.model_copy(update={"models": (self._model,), **address})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say that one's own hardware has no price; how long it takes nobody knows."""
        return Estimate(cost_usd=0.0, source=no_cost().source)

    async def models(self) -> tuple[str, ...]:
        """Ask the server which models it serves."""
        return parse_models((await self._api.send("GET", "/models")).json())

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Send the form, once, and keep the id of the video."""
        form, image = await self._build(request)
        self._sent_at[key] = time.monotonic()
        try:
            name, body = await submit(
                self._api,
                Call("POST", "/videos", files=form_parts(form, image)),
                place="id",
                missing="without a video",
                translate=refusal_of_video,
            )
        except NoVideosError as error:
            raise await self._explained(error, form.get("model")) from error
        self._sent_at.pop(key, None)
        return self._ref(request, form, parse_video(body) or Video(id=name))

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look through the server's list for the one video that repeats this request's prompt.

        Raises:
            BackendResponseError: the list proves nothing: what may be it is named.
        """
        known = await super().find(request, key=key, since=since)
        if known is not None:
            return known
        form, _ = await self._build(request)
        taken = {ref.operation_id for _, ref in self._submitted.values()}
        video = await find_video(self._api, form, ago=self._since(key, since), taken=taken)
        if video is None:
            return None
        return self._stamped(
            self._ref(request, form, video), key, since.timestamp(), self._deadline(request)
        )

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Poll the video; once it is complete, fetch its video."""
        found = await self._video(ref)
        if found is None:
            raise lost(ref.operation_id)
        if not isinstance(found, Video):
            return self._nothing_said(ref, found)
        event = parse_status(found, server=self._server(ref))
        if event is None:
            return await self._content(ref, found, otherwise=None)
        if found.state is not None:
            self._patience.forget(ref.operation_id)
            return event
        is_stuck = self._patience.is_stuck(ref.operation_id, found.status, self.waited(ref))
        is_at = found.addresses or is_at_end(found.progress) or may_be_done(found.status)
        is_at = is_at or self._is_long_stuck(ref)
        return await self._content(ref, found, otherwise=event) if is_stuck and is_at else event

    async def cancel_once(self, ref: OperationRef) -> None:
        """Abort on vLLM-Omni; a finished video is left alone, as DELETE would remove its video."""
        if self._server(ref) is not Server.VLLM_OMNI:
            raise UnsupportedRequestError(
                f"{self._api.host} cannot stop {ref.operation_id}",
                hint="only vLLM-Omni can; SGLang would forget the video and work on",
            )
        video = await self._video(ref)
        if video is None or (
            isinstance(video, Video) and video.state in (State.DONE, State.FAILED)
        ):
            return
        gone_or_over = (404, 409)
        await self._api.send("DELETE", _path(ref.operation_id), accepts=gone_or_over)

    async def aclose(self) -> None:
        """Close the connections; the server works on."""
        await super().aclose()
        if self._known_api is not None:
            await self._known_api.aclose()

    def _since(self, key: str, since: datetime) -> Callable[[], float]:
        """Return what tells how long ago a submission was: where it was sent here, by no clock.

        A clock may be set in between.
        """
        sent_at = self._sent_at.get(key)
        if sent_at is None:
            return lambda: self._clock() - since.timestamp()
        return lambda: time.monotonic() - sent_at

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
        _, model = request.split_model()
        model = model or self._model
        options = self._defaults | request.options.get(self.name, {})
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
        content, mime_type = await asyncio.to_thread(read_medium, frame, largest=_LARGEST_IMAGE)
        return form, (f"first_frame.{mime_type.partition('/')[2]}", content, mime_type)

    def _ref(self, request: VideoRequest, form: dict[str, str], video: Video) -> OperationRef:
        _, model = request.split_model()
        server = self._config.server if self._config.server is not Server.AUTO else video.server
        return OperationRef(
            backend=self.name,
            model=model or self._model,
            operation_id=video.id,
            data={"server": server.value, "seed": request.seed, "sent": [*marks_in({**form})]},
        )

    def _server(self, ref: OperationRef) -> Server:
        """Return which program took the video, as the reference says it."""
        try:
            return Server(str(ref.data.get("server")))
        except ValueError:
            return self._config.server

    async def _video(self, ref: OperationRef) -> Video | Reply | None:
        """Poll; None: the server knows no such video. A failed one may come as an HTTP error.

        Where the answer tells nothing of a video it is returned itself.
        """
        path, known_as = _path(ref.operation_id), ref.operation_id
        try:
            reply = await self._api.send(
                "GET", path, translate=partial(error_of_poll, video_id=known_as)
            )
        except FailedPollError as told:
            return told.video
        except OperationNotFoundError:
            return None
        self.postpone(ref, reply.retry_after)
        marks = ref.data.get("sent")
        sent = [str(mark) for mark in marks] if isinstance(marks, list) else []
        body = answer_about(reply, known_as)
        video = parse_video(body, known_as, sent)
        refusal = refusal_in(body)
        if video is not None and video.state is State.FAILED:
            return reply if may_be_of_poll(refusal, body, known_as) else video
        if video is not None and video.state is not None:
            return video
        is_no = refusal is not None and (refusal.is_plain or video is None or not video.status)
        return reply if video is None or is_no else video

    def _nothing_said(self, ref: OperationRef, reply: Reply) -> BackendEvent:
        """Return what a poll means that does not say how far the video is."""
        refusal = refusal_in(reply.json())
        if refusal is None:
            raise reply.senseless("no video where one was due")
        says_failed = state_of(state_said(merged(reply.json()))) is State.FAILED
        return end_of_poll(
            refusal, self._patience, ref, self.waited(ref), reply.host, says_failed=says_failed
        )

    async def _content(
        self, ref: OperationRef, video: Video, otherwise: BackendEvent | None
    ) -> BackendEvent:
        """Say where the video is, or fetch it where that needs the key.

        `otherwise` is said when it cannot be had and the video was not plainly called complete.
        """
        missed: MediaAgentError | None = None
        for url in self._places(ref, video):
            is_here = url.startswith("/") or is_inline(url) or self._api.has(url)
            try:
                artifact = (
                    await self._fetched(ref, url)
                    if is_here
                    else Artifact(uri=url, expires_at=expiry(video, self._clock()))
                )
            except (NoVideoError, VideoNotFetchedError) as error:
                missed = error
                continue
            self._patience.forget(ref.operation_id)
            return completed(video, artifact, ref, self._checked, await self._served(ref))
        assert missed is not None  # there is always one place to ask
        if otherwise is None and isinstance(missed, VideoNotFetchedError):
            raise missed  # which was waited for already, while it was fetched
        end = JobOutcomeUnknown(error=to_info(missed), model=ref.model, cost=no_cost())
        return otherwise or self._patience.late(ref.operation_id, self.waited(ref), end)

    def _is_long_stuck(self, ref: OperationRef) -> bool:
        deadline = ref.data.get("deadline_seconds")
        return self._patience.is_long_stuck(ref.operation_id, self.waited(ref), deadline)

    async def _fetched(self, ref: OperationRef, url: str) -> Artifact:
        """Fetch the video from the server itself, which may want the key."""
        path = self.video_path(ref)
        await self._api.download(url, path, translate=error_of_video)
        return Artifact(path=str(path))

    def _places(self, ref: OperationRef, video: Video) -> list[str]:
        """Return where the video may be: at what is called like one, and else at its content.

        What the server names besides may be a page that shows it.
        """
        path = _path(ref.operation_id)
        named = [self._api.resolved(url, path) for url in video.addresses]
        likely = [url for url in named if is_video_by_name(url)]
        return [*likely, f"{path}/content", *(url for url in named if url not in likely)]

    async def _served(self, ref: OperationRef) -> tuple[str, ...]:
        """Ask once which models there are: SGLang takes any name and repeats it."""
        if self._server(ref) is Server.VLLM_OMNI:
            return ()  # which refuses other names
        if self._models_served is None:
            self._models_served = ()
            with contextlib.suppress(MediaAgentError):
                self._models_served = await self.models()
        return self._models_served

    async def _explained(self, error: NoVideosError, model: str | None) -> MediaAgentError:
        """Return what a 404 for a new video means: perhaps only this model is not served."""
        served: tuple[str, ...] = ()
        with contextlib.suppress(MediaAgentError):
            served = await self.models()
        return error.explained(model, served)


def _path(video_id: str) -> str:
    return f"/videos/{quote(video_id, safe='')}"
