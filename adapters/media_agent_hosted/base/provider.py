"""The base of hosted providers: an author writes the hooks, and all that is sent is sent here."""

import asyncio
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from media_agent.errors import BackendAuthenticationError, VideoNotFetchedError, to_info
from media_agent.video.probe import describe as describe_video
from media_agent_hosted.base.calls import Answer, Call, End, Submission
from media_agent_hosted.base.hooks import Hooks
from media_agent_hosted.base.inputs import take_input
from media_agent_hosted.base.outcomes import LateVideoError, completed, end_of_done
from media_agent_hosted.base.service import Connection, ServiceBackend
from media_agent_hosted.base.submit import submit
from media_agent_hosted.http.auth import Auth, key_header
from media_agent_hosted.models.describe import describe
from media_agent_hosted.models.fields import warnings_about
from media_agent_hosted.models.prompts import NOTE, without_parameters
from media_agent_hosted.parsing.lenient import text, unwrap, value_at
from media_agent_hosted.parsing.videos import marks_in
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import UNKNOWN, Estimate
from media_agent_schemas.events import JobCompleted, JobOutcomeUnknown
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

__all__ = ["HostedBackend", "ProviderOptions"]


class ProviderOptions(BaseModel):
    """The options under [backends.NAME.options] that every provider has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    timeout_seconds: float = Field(default=60.0, gt=0, description="for one answer")
    poll_seconds: float | None = Field(
        default=None,
        gt=0,
        description="first pause between two polls, 2 by default; pauses grow to 15",
    )
    deadline_seconds: float | None = Field(
        default=None,
        gt=0,
        description="for a video, 7200 by default; then the provider is asked to stop",
    )
    max_duration: float = Field(
        default=5.0, gt=0, description="seconds that a model outside the table makes at once"
    )
    allow_plain_http: bool = Field(
        default=False, description="let the key travel without TLS to another machine than this one"
    )


class HostedBackend(Hooks, ServiceBackend):
    """Meets the `VideoBackend` protocol for a provider that queues work and is polled."""

    options_type: ClassVar[type[ProviderOptions]] = ProviderOptions

    @cached_property
    def options(self) -> ProviderOptions:
        """What its section of the settings says under options."""
        return self.settings.read_options(self.options_type)

    def connection(self) -> Connection:
        """Return the provider's address, or another that the settings say."""
        return Connection(
            self.settings.base_url or self.address,
            auth=self.auth(),
            allow_plain_http=self.options.allow_plain_http,
            timeout_seconds=self.options.timeout_seconds,
        )

    def auth(self) -> Auth:
        """Return what makes the headers with the key; a signature sees the request it is for."""
        return key_header(self.settings.key, scheme=self.scheme)

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; an id that is not mapped is taken, and little said of it."""
        model_id = self._id(model)
        known = self._described.get(model_id)
        if known is None:
            known = self.describe(model_id)
            if model_id in self.models.by_id:
                self._described[model_id] = known
        return known

    def describe(self, model_id: str) -> Capabilities:
        """Say what a model can do, by its entry in models.yaml; a provider may know more."""
        default = self._id(None)
        facts = describe(self.models.by_id.get(model_id), model_id, self.options.max_duration)
        return Capabilities.model_validate(
            {
                "backend": self.name,
                "model": model_id,
                "models": (default, *(each for each in self.models.by_id if each != default)),
                "cancel_rule": self.cancel_rule,
                "bills_failed": self.bills_failed,
                "lookup": self.lookup,
                "verification": self.verification,
                "missing": self.missing(),
                "reads_urls": self.reads_urls,
                "uploads": self.uploads,
                "region": self.region,
                **facts,
            }
        )

    @cached_property
    def _described(self) -> dict[str, Capabilities]:
        """What was said of each model; it stays the same, and a plan asks for many."""
        return {}

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say nothing: what prices are known stand in the catalogue."""
        return UNKNOWN

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Send the request and keep what finds the work again."""
        missing = self.missing()
        if missing is not None:
            raise BackendAuthenticationError(
                f"{self.name} needs a key, and none is set", hint=missing
            )
        submission = await self._submission(request, key)
        call = self.build(submission)
        if self.settings.callback_url is not None:
            call = self.with_callback(call, self.settings.callback_url)
        try:
            name, body = await submit(
                self._api,
                call,
                place=call.work_id or self.work_id,
                missing=f"JSON without a usable {call.work_id or self.work_id}",
                translate=partial(self.refusal, model_id=submission.model_id),
            )
        except BackendAuthenticationError as error:
            hint = self._say_which_key(error.hint)
            raise BackendAuthenticationError(error.message, hint=hint) from error
        return self._ref(submission, call, name, body)

    def _say_which_key(self, hint: str | None) -> str:
        said = (
            hint,
            "media-agent keys list says where the key is from",
            f"keys of {self.name} are made at {self.keys_at}",
        )
        return "; ".join(filter(None, said))

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
        submission = await self._submission(request, key, uploads=False)
        ref = self._ref(submission, self.build(submission), name, body)
        return self._stamped(ref, key, since.timestamp(), self._deadline(request))

    async def finish(self, ref: OperationRef, answer: Answer, *, is_over: bool) -> End:
        """Say where the videos are; fetch one that only the key opens."""
        path = self.content(ref)
        if path is None:
            results = self.results(answer.body)
            end = end_of_done(answer, ref, expires_at=self._expiry(), results=results)
            if isinstance(end, JobCompleted):
                end = await self._take(ref, end, answer, is_over=is_over)
        else:
            end = await self._fetch(ref, path, answer, is_over=is_over)
        if isinstance(end, JobOutcomeUnknown):
            return end
        own_id = answer.status.own_id
        if own_id is not None and isinstance(end, JobCompleted) and end.artifacts:
            first = end.artifacts[0].model_copy(update={"own_id": own_id})
            end = end.model_copy(update={"artifacts": (first, *end.artifacts[1:])})
        known = ref.data.get("warnings")
        warnings = tuple(map(str, known)) if isinstance(known, list) else ()
        return end.model_copy(
            update={
                "verification": self.capabilities(ref.model).verification,
                "warnings": (*warnings, *answer.status.warnings),
            }
        )

    async def _take(
        self, ref: OperationRef, end: JobCompleted, answer: Answer, *, is_over: bool
    ) -> JobCompleted | JobOutcomeUnknown:
        """Return the end with those videos here that only this backend can bring."""
        files, taken = answer.reply.files, list[Artifact]()
        try:
            for number, video in enumerate(end.artifacts):
                if video.uri is not None and video.uri in files:
                    video = await asyncio.to_thread(describe_video, files[video.uri])
                elif self.videos_need_key and video.uri and self._api.has(video.uri):
                    path = await self.download(ref, video.uri, number=number)
                    video = await asyncio.to_thread(describe_video, path)
                taken.append(video)
        except (LateVideoError, VideoNotFetchedError) as error:
            if is_over and isinstance(error, VideoNotFetchedError):
                raise  # which was waited for already
            return JobOutcomeUnknown(error=to_info(error), model=ref.model)
        return end.model_copy(update={"artifacts": tuple(taken)})

    async def _fetch(
        self, ref: OperationRef, path: str, answer: Answer, *, is_over: bool
    ) -> JobCompleted | JobOutcomeUnknown:
        try:
            target = await self.download(ref, path)
        except (LateVideoError, VideoNotFetchedError) as error:
            if is_over and isinstance(error, VideoNotFetchedError):
                raise  # which was waited for already
            return JobOutcomeUnknown(error=to_info(error), model=ref.model)
        artifact = await asyncio.to_thread(describe_video, target)
        return completed((artifact,), answer.body, ref, answer.status)

    def _expiry(self) -> datetime | None:
        """Return until when a video that is done now is kept."""
        if self.keeps is None:
            return None
        return datetime.fromtimestamp(self._clock(), UTC) + self.keeps

    async def _submission(
        self, request: VideoRequest, key: str, *, uploads: bool = True
    ) -> Submission:
        model_id = self._id(request.split_model()[1])
        known = self.models.by_id.get(model_id)
        model = None if known is None else known.for_mode(request.infer_mode())
        inputs, notes = list[JsonValue](), list[str]()
        pause = self._pause_before_check if uploads else None
        for medium in request.inputs:
            place = None if model is None else model.inputs.get(medium.role)
            part, note = await take_input(
                self, self._poller, medium, place, is_here=self._api.is_here, pause=pause
            )
            inputs.append(part.value if part.is_own_id else self.input_value(part))
            notes += [] if note is None else [note]
        safe = without_parameters(request) if self.reads_parameters(model_id) else request
        if safe is not request:
            notes.append(NOTE)
        return Submission(
            request=safe,
            model_id=model_id,
            model=model,
            inputs=tuple(inputs),
            options=request.options.get(self.name, {}),
            key=key,
            notes=tuple(notes),
        )

    async def _pause_before_check(self) -> None:
        await self._sleep(self.poll_seconds)

    def _ref(self, submission: Submission, call: Call, name: str, body: JsonValue) -> OperationRef:
        said = unwrap(body)
        named = {place: text(value_at(said, place)) for place in self.addresses}
        warnings = warnings_about(submission.request, submission.model)
        region = {} if self.region is None else {"region": self.region}
        return OperationRef(
            backend=self.name,
            model=submission.model_id,
            operation_id=name,
            data={
                **{place: url for place, url in named.items() if url is not None},
                **region,
                "path": call.path,
                "seed": submission.request.seed,
                "sent": [*marks_in(call.json)],
                "warnings": [*submission.notes, *warnings],
            },
        )

    def _work_in(self, body: JsonValue) -> str | None:
        return text(value_at(unwrap(body), self.work_id))

    def _id(self, model: str | None) -> str:
        return self.models.check_id(model or self.settings.model)

    def missing(self) -> str | None:
        """Return what `Capabilities.missing` says; usually whether there is a key."""
        return self.settings.missing_key(self.keys_at)
