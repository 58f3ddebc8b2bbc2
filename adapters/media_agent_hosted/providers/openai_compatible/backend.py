"""Your own server that speaks OpenAI's video API: SGLang-Diffusion, vLLM-Omni, FastVideo.

All keep their videos in memory only: after a restart they know none. A lost video is said to be
lost and never asked for again by itself.
"""

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Unpack
from urllib.parse import quote

from pydantic import JsonValue

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendResponseError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    UnsupportedRequestError,
    VideoNotFetchedError,
    to_info,
)
from media_agent.ingest.inline import is_inline
from media_agent_hosted.base.calls import Answer, Call, End, Status
from media_agent_hosted.base.identity import answer_about
from media_agent_hosted.base.outcomes import marks_of, read_status
from media_agent_hosted.base.service import Connection, Means, ServiceBackend
from media_agent_hosted.base.submit import submit
from media_agent_hosted.http.auth import key_header
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.lenient import text, unwrap
from media_agent_hosted.parsing.refusals import refusal_in
from media_agent_hosted.parsing.states import State
from media_agent_hosted.parsing.videos import is_video_by_name, marks_in
from media_agent_hosted.providers.openai_compatible.errors import (
    NoVideoError,
    NoVideosError,
    error_of_poll,
    error_of_video,
    explain_refusal,
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
from media_agent_hosted.providers.openai_compatible.form import form_parts
from media_agent_hosted.providers.openai_compatible.lookup import find_video
from media_agent_hosted.providers.openai_compatible.price import estimate_price, find_own_cost
from media_agent_hosted.providers.openai_compatible.submission import Submission, build_submission
from media_agent_hosted.providers.openai_compatible.video import (
    Server,
    Video,
    completed,
    parse_models,
    parse_status,
    parse_video,
    read_expiry,
)
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import JobOutcomeUnknown
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

__all__ = ["OpenAICompatibleBackend"]


class OpenAICompatibleBackend(ServiceBackend):
    """Meets the `VideoBackend` protocol for one server; its replies show which program."""

    bills = False
    kind = NAME

    def __init__(self, settings: BackendSettings, **means: Unpack[Means]) -> None:
        """Read the settings; nothing is sent.

        Raises:
            ConfigurationError: an option or the base_url is wrong.
        """
        self._config, self._defaults = read_settings(settings)
        self._model = settings.model or DEFAULT_MODEL
        super().__init__(settings, **means)
        self._own_cost = find_own_cost(settings.base_url, self._config)
        self._describe = lru_cache(maxsize=64)(self._describe_model)
        self._checked = self.capabilities().verification
        self._sent_at: dict[str, float] = {}

    def connection(self) -> Connection | None:
        """Return where the server is, if the settings say so; most of them take no key."""
        settings, config = self.settings, self._config
        if settings.base_url is None:
            return None
        return Connection(
            api_address(settings.base_url),
            auth=key_header(settings.key, scheme="Bearer"),
            allow_plain_http=config.allow_plain_http or settings.key is None,
            timeout_seconds=config.timeout_seconds,
        )

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what is known of a model; every name is taken, as only the server knows its own."""
        missing_key = self.settings.missing_key() if self.settings.names_key else None
        missing = NO_ADDRESS if self._known_api is None else missing_key
        return self._describe(model or self._model, missing)

    def _describe_model(self, model: str, missing: str | None) -> Capabilities:
        capabilities = describe_model(model, self._config, self._defaults)
        is_here = self._known_api is not None and self._known_api.is_here
        place = {"local": is_here, "missing": missing}
        return capabilities.model_copy(update={"models": (self._model,), **place})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the price that the settings say; else one's own hardware has none."""
        return estimate_price(request, self.settings.base_url, self._config)

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
        except (NoVideosError, InvalidRequestError) as error:
            served = await self._list_models()
            explained = explain_refusal(error, form.get("model"), served)
            if explained is error:
                raise
            raise explained from error
        self._sent_at.pop(key, None)
        return self._ref(request, form, parse_video(body) or Video(id=name))

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look through the server's list for the one video with this request's prompt and seed.

        Raises:
            BackendResponseError: the list proves nothing: what may be it is named.
        """
        known = await super().find(request, key=key, since=since)
        if known is not None:
            return known
        form, _ = await self._build(request)
        taken = self._known_ids()
        video = await find_video(self._api, form, ago=self._since(key, since), taken=taken)
        if video is None:
            return None
        return self._stamped(
            self._ref(request, form, video), key, since.timestamp(), self._deadline(request)
        )

    def poll(self, ref: OperationRef) -> Call:
        """Return the call that asks how far a video is."""
        return Call("GET", _path(ref.operation_id))

    def parse(self, body: JsonValue) -> Status:
        """Return how far a video is.

        Raises:
            BackendResponseError: nothing is said of a video, nor a no.
            OperationNotFoundError: it was deleted.
        """
        video = parse_video(body, text(unwrap(body).get("id")) or "the video")
        if video is not None:
            return parse_status(video, server=self._config.server, cost=self._own_cost)
        if refusal_in(body) is None:
            raise BackendResponseError(f"{self._api.host} answers no video where one was due")
        return Status("", None)

    def tells_state(self, reply: Reply, ref: OperationRef) -> bool:
        """Return whether an HTTP error is about the video, as vLLM-Omni says that one failed."""
        video = parse_video(reply.object())
        return video is not None and video.id == ref.operation_id and video.state is not None

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        """Return what 404 means: a server that was restarted, or something else before it."""
        return error_of_poll(reply, ref.operation_id)

    def content(self, ref: OperationRef) -> str:
        """Return the path of the video."""
        return f"{_path(ref.operation_id)}/content"

    async def finish(self, ref: OperationRef, answer: Answer, *, is_over: bool) -> End:
        """Say where the video is, or fetch it where that needs the key."""
        work = ref.operation_id
        video = parse_video(answer.body, work, marks_of(ref)) or Video(id=work)
        missed: MediaAgentError | None = None
        for url in self._places(ref, video):
            try:
                artifact = await self._artifact(ref, url, video)
            except (NoVideoError, VideoNotFetchedError) as error:
                missed = error
                continue
            served = await self._ask_models(ref)
            return completed(
                video,
                artifact,
                ref,
                self._checked,
                served=served,
                default=DEFAULT_MODEL,
                cost=self._own_cost,
            )
        assert missed is not None  # there is always one place to ask
        if is_over and isinstance(missed, VideoNotFetchedError):
            raise missed  # which was waited for already, while it was fetched
        return JobOutcomeUnknown(error=to_info(missed), model=ref.model, cost=self._own_cost)

    async def cancel_once(self, ref: OperationRef) -> None:
        """Abort on vLLM-Omni; a finished video is left alone, as DELETE would remove its video."""
        if self._server(ref) is not Server.VLLM_OMNI:
            raise UnsupportedRequestError(
                f"{self._api.host} cannot stop {ref.operation_id}",
                hint="only vLLM-Omni can; another would forget the video and continue its work",
            )
        with contextlib.suppress(OperationNotFoundError):
            body = answer_about(await self._poller.ask(ref), ref.operation_id)
            if read_status(body).state not in (State.DONE, State.FAILED):
                await super().cancel_once(ref)

    def cancellation(self, ref: OperationRef) -> Call:
        """Return the call that aborts a video; one that is gone or over is left alone."""
        return Call("DELETE", _path(ref.operation_id), accepts=(404, 409))

    def _since(self, key: str, since: datetime) -> Callable[[], float]:
        """Return what tells how long ago a submission was: where it was sent here, by no clock.

        A clock may be set in between.
        """
        sent_at = self._sent_at.get(key)
        if sent_at is None:
            return lambda: self._clock() - since.timestamp()
        return lambda: time.monotonic() - sent_at

    async def _build(self, request: VideoRequest) -> Submission:
        """Return what is sent: the options of the settings, then those of the request."""
        _, model = request.split_model()
        options = self._defaults | request.options.get(self.name, {})
        return await build_submission(
            request, options, model=model or self._model, server=self._config.server
        )

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

    async def _artifact(self, ref: OperationRef, url: str, video: Video) -> Artifact:
        """Fetch a video from the server itself, which may need the key; or say its address."""
        if not (url.startswith("/") or is_inline(url) or self._api.has(url)):
            return Artifact(uri=url, expires_at=read_expiry(video, self._clock()))
        return Artifact(path=str(await self.download(ref, url, translate=error_of_video)))

    def _places(self, ref: OperationRef, video: Video) -> list[str]:
        """Return where the video may be: at what is called like one, and else at its content.

        Any other address that the server names may be a page that shows it.
        """
        path = _path(ref.operation_id)
        named = [self._api.resolved(url, path) for url in video.addresses]
        likely = [url for url in named if is_video_by_name(url)]
        return [*likely, self.content(ref), *(url for url in named if url not in likely)]

    async def _ask_models(self, ref: OperationRef) -> tuple[str, ...]:
        """Ask which models there are now, each time: a server may be started with another one."""
        if self._server(ref) is Server.VLLM_OMNI:
            return ()  # which refuses other names
        return await self._list_models()

    async def _list_models(self) -> tuple[str, ...]:
        """Return the models that the server lists; none if it cannot say."""
        with contextlib.suppress(MediaAgentError):
            return await self.models()
        return ()


def _path(video_id: str) -> str:
    return f"/videos/{quote(video_id, safe='')}"
