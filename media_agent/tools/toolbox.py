"""Answers the calls of an agent: data in, data out, never an exception, never a long wait."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError, JobNotFoundError, MediaAgentError, to_info
from media_agent.tools.answers.content import build_content
from media_agent.tools.answers.fitting import choose_fitting
from media_agent.tools.answers.plan_views import view_models
from media_agent.tools.answers.views import JobListView, JobView, shorten_info, view_job, view_jobs
from media_agent.tools.arguments import CreateVideo, PlanVideo, ToolArguments
from media_agent.tools.consent import Consent, ConsentNeededError, Quote
from media_agent.tools.dialects import Dialect, tool_definitions
from media_agent.tools.elsewhere import Address, Admit, Answer, address_files
from media_agent.tools.files import FileKind, JobFile, add_sheet, find_file
from media_agent.tools.job_arguments import (
    CancelVideo,
    ExtendVideo,
    GetVideo,
    ListVideoBackends,
    ListVideos,
    SteerVideo,
    WaitVideo,
)
from media_agent.tools.new_videos import Asking, create_video, extend_video, plan_video
from media_agent.tools.parsing import parse_call
from media_agent.wording import info_to_tools
from media_agent_schemas.base import Schema
from media_agent_schemas.jobs import JobStatus, JobSummary, VideoJob

_LOGGER = logging.getLogger(__name__)
_LENGTHS = (2000, 500, 100)  # characters of a message, which may quote what the agent gave
_PAUSES = (0.25, 0.5, 1.0)  # seconds between looks at a job of another process; the last again

_WRITING = (CreateVideo, ExtendVideo, SteerVideo, CancelVideo)

Need = Literal["videos:read", "videos:write"]
"""What the key of a caller has to allow."""


class ToolBox:
    """The tools of one agent over one client.

    `caller` distinguishes agents that share a data folder, so that the same request of both
    is two videos. Above `ask_above_usd` a person has to agree to the price; None: the limits of the
    settings are enough.

    At a server `owner` is whose jobs they become, for which they pay by the `resale_factor`, and
    unless `sees_all`, no others are there.
    Where an agent is on another machine, `address` says by what it knows a file of a job, and
    `admit` checks and brings what its requests name. `allow` raises for what its key does not
    allow.
    """

    def __init__(
        self,
        client: VideoClient,
        *,
        caller: str = "agent",
        ask_above_usd: float | None = None,
        owner: str | None = None,
        resale_factor: float = 1.0,
        sees_all: bool = True,
        address: Address | None = None,
        admit: Admit | None = None,
        allow: Callable[[Need], None] = lambda need: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._asking = Asking(caller, owner, admit, resale_factor)
        self._ask_above_usd = ask_above_usd
        self._owner = owner
        self._sees_all = sees_all
        self._address = address
        self._allow = allow
        self._clock = clock
        self._sleep = sleep

    def definitions(self, dialect: Dialect = "json-schema") -> list[dict[str, JsonValue]]:
        """Return the tools as the language model of a vendor wants them described."""
        return tool_definitions(dialect, routes=self._client.settings.routes)

    async def content(
        self, answer: Mapping[str, JsonValue], dialect: Dialect
    ) -> list[dict[str, JsonValue]]:
        """Return an answer as content of a message: its JSON as text, and its image if it has one.

        That is what a `tool_result` of Anthropic takes, and a `function_call_output` of OpenAI's
        Responses. In Chat Completions messages of role "tool" hold text only: send it as "user".

        Raises:
            StorageError: the image cannot be read.
        """
        image = answer.get("image")
        if image is None:
            return build_content(answer, dialect)
        path = Path(str(image))
        if self._address is not None:
            path = (await self.file(str(answer["job_id"]), "contact-sheet")).path
        return await asyncio.to_thread(build_content, answer, dialect, path)

    async def call(self, name: str, arguments: Mapping[str, JsonValue] | str) -> Answer:
        """Run one tool and return its answer as JSON data.

        `arguments` are a mapping or its JSON text; a bridge may have encoded parts of it again.
        Whatever goes wrong comes back as
        `{"error": {"code", "message", "hint", "retryable"}}`.
        """
        try:
            answer = await self.answer(parse_call(name, arguments))
        except MediaAgentError as error:
            return error_as_data(error)
        return error_as_data(answer.to_error()) if isinstance(answer, Quote) else answer

    async def answer(
        self, arguments: ToolArguments, *, agreed: Quote | None = None
    ) -> Answer | Quote:
        """Run one tool like `call`, or return the price that a person has to agree to first.

        Nothing was submitted then. Whatever comes of the question, a call with the answer `agreed`
        submits what still costs the same, and anything else is another question.
        """
        try:
            view = await self._run(arguments, Consent(self._ask_above_usd, agreed))
        except ConsentNeededError as needed:
            return needed.quote
        except MediaAgentError as error:
            return self.describe(error)
        except Exception as error:  # the last resort: an agent gets no traceback
            _LOGGER.warning("tool %s broke: %s", arguments.tool, type(error).__name__)
            _LOGGER.debug("tool %s broke", arguments.tool, exc_info=error)
            return self.describe(error)
        return self._show(view.model_dump(mode="json", exclude_none=True))

    def _show(self, answer: Answer) -> Answer:
        if self._address is None:
            return answer
        return address_files(answer, self._address)

    async def file(self, job_id: str, kind: FileKind) -> JobFile:
        """Return a file of a job; the contact sheet and the poster are made when they are missing.

        Raises:
            JobError: there is no such job, or no such file of it yet.
            StorageError: it is gone, or cannot be read or written.
        """
        self._allow("videos:read")
        file = await find_file(self._client, await self._find(job_id), kind)
        return file if self._address is None else replace(file, place=self._address(job_id, kind))

    def describe(self, error: Exception) -> Answer:
        """Return what went wrong as `call` does."""
        return self._show(error_as_data(error))

    async def get(self, job_id: str) -> VideoJob:
        """Return a job as it stands; one whose process is gone is resumed here.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        self._allow("videos:read")
        job = await self._find(job_id)
        return job if job.status.is_terminal else await self._client.adopt(job_id)

    async def cancel(self, job_id: str) -> VideoJob:
        """Stop a job, as `VideoClient.cancel` does.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        self._allow("videos:write")
        await self._find(job_id)
        return await self._client.cancel(job_id)

    async def list_completed(self, *, before: str | None, limit: int) -> list[JobSummary]:
        """Return the newest jobs that have a video.

        Raises:
            JobNotFoundError: there is no job `before`.
        """
        self._allow("videos:read")
        return await self._list(JobStatus.COMPLETED, before, limit)

    async def _find(self, job_id: str) -> VideoJob:
        """Return a job of this agent.

        Raises:
            JobNotFoundError: there is none of this id; of those of others nothing is told.
        """
        if self._sees_all:
            return await self._client.get(job_id)
        with contextlib.suppress(JobNotFoundError):
            job = await self._client.get(job_id)
            if job.caller == self._owner:
                return job
        hint = "media-agent jobs list shows the jobs there are"
        raise JobNotFoundError(f"unknown job {job_id!r:.200}", hint=hint)

    async def _list(
        self, status: JobStatus | tuple[JobStatus, ...], before: str | None, limit: int
    ) -> list[JobSummary]:
        if before is not None:
            await self._find(before)
        only = None if self._sees_all else self._owner
        return await self._client.list(status=status, caller=only, before=before, limit=limit)

    async def _run(self, arguments: ToolArguments, consent: Consent) -> Schema:
        self._allow("videos:write" if isinstance(arguments, _WRITING) else "videos:read")
        await self._check_source(arguments)
        match arguments:
            case PlanVideo():
                return await plan_video(self._client, self._asking, arguments)
            case CreateVideo():
                job = await create_video(self._client, self._asking, arguments, consent)
                return await self._view(await self._wait(job, arguments.wait_seconds or 0))
            case GetVideo():
                view = await self._view(await self.get(arguments.job_id))
                return view.with_image() if arguments.contact_sheet else view
            case WaitVideo():
                job = await self.get(arguments.job_id)
                return await self._view(await self._wait(job, arguments.patience))
            case ExtendVideo():
                job = await extend_video(self._client, self._asking, arguments, consent)
                return await self._view(job)
            case ListVideos():
                return await self._list_videos(arguments)
            case ListVideoBackends():
                return view_models(await self._client.models(), arguments.search)
            case SteerVideo(job_id=job_id, prompt=prompt, at=at):
                await self._find(job_id)
                place = "next" if at is None else at
                return await self._view(await self._client.steer(job_id, prompt, at=place))
            case CancelVideo():
                return await self._view(await self.cancel(arguments.job_id))
        raise AssertionError(f"no code for {arguments.tool}")

    async def _check_source(self, arguments: ToolArguments) -> None:
        """Refuse what is not the agent's own: jobs of others, files of this machine.

        Raises:
            JobNotFoundError: it names such a job.
            InvalidRequestError: it names such a file.
        """
        match arguments:
            case PlanVideo(first_frame=place) | CreateVideo(first_frame=place):
                name = "first_frame"
            case ExtendVideo(job_id=job_id, file=place):
                name = "file"
                if job_id is not None and not self._sees_all:
                    await self._find(job_id)
            case _:
                return
        if self._sees_all and self._address is None:
            return
        if place and not place.startswith(("http://", "https://")):
            raise InvalidRequestError(
                f"{name}: files of the server are not read for others", hint="give an http(s) URL"
            )

    async def _list_videos(self, arguments: ListVideos) -> JobListView:
        status = () if arguments.status is None else arguments.status
        most = arguments.most
        jobs = await self._list(status, arguments.before, most + 1)
        return view_jobs(jobs, most)

    async def _wait(self, job: VideoJob, seconds: float) -> VideoJob:
        """Return the job when it is finished, or as it stands when the time is over.

        One that cannot continue here, and that no other process works on, is not waited for.
        """
        until = self._clock() + seconds
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            left = until - self._clock()
            if job.status.is_terminal or left <= 0:
                break
            work = self._client.work_on(job.id)
            if work is None:
                await self._sleep(min(pause, left))
            else:
                await self._sleep_unless_done(work, left)
            job = await self._client.get(job.id)
            if work is not None and work.done() and not self._client.is_running(job.id):
                break
        return job

    async def _sleep_unless_done(self, work: "asyncio.Task[None]", seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({work, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()

    async def _view(self, job: VideoJob) -> JobView:
        if job.status is JobStatus.COMPLETED:
            folder = self._client.store.jobs.folder(job.id)
            job = await asyncio.to_thread(add_sheet, job, folder)
        is_moving = self._client.is_running(job.id)
        return view_job(job, verification=await self._find_verification(job), is_moving=is_moving)

    async def _find_verification(self, job: VideoJob) -> str | None:
        try:
            capabilities = await self._client.capabilities(f"{job.plan.backend}/{job.plan.model}")
        except MediaAgentError:  # a job of old, of a backend that is gone
            return None
        return str(capabilities.verification)


def error_as_data(error: Exception) -> Answer:
    """Return what went wrong in the words of an agent."""
    info = info_to_tools(to_info(error))
    info = choose_fitting(shorten_info(info, length) for length in _LENGTHS)
    return {"error": info.model_dump(mode="json", exclude={"schema_version"}, exclude_none=True)}
