"""Answers the calls of an agent: data in, data out, never an exception, never a long wait."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from pydantic import JsonValue, ValidationError

from media_agent.client import VideoClient
from media_agent.errors import (
    InvalidRequestError,
    MediaAgentError,
    StorageError,
    to_info,
)
from media_agent.provenance.job_sheet import sheet_name, write_job_sheet
from media_agent.shorten import shorten_to_line
from media_agent.storage.destination import is_there
from media_agent.storage.files import storage_errors
from media_agent.suggest import did_you_mean
from media_agent.tools.arguments import CreateVideo, PlanVideo, ToolArguments
from media_agent.tools.content import build_content
from media_agent.tools.decoding import as_object
from media_agent.tools.dialects import Dialect, tool_definitions
from media_agent.tools.job_arguments import (
    TOOLS,
    CancelVideo,
    ExtendVideo,
    GetVideo,
    ListVideoBackends,
    ListVideos,
    SteerVideo,
    WaitVideo,
)
from media_agent.tools.new_videos import create_video, extend_video, plan_video
from media_agent.tools.plan_views import view_models
from media_agent.tools.views import NO_SHEET, JobListView, JobView, view_job, view_jobs
from media_agent.validation import in_words
from media_agent.wording import info_to_tools
from media_agent_schemas.base import Schema
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind

_LOGGER = logging.getLogger(__name__)
_LONGEST_MESSAGE = 2000  # characters; it may quote what the agent gave
_LOOK_EVERY = 0.25  # seconds between two looks at a job that is waited for


class ToolBox:
    """The tools of one agent over one client.

    `caller` distinguishes agents that share a data folder, so that the same request of both
    is two videos.
    """

    def __init__(
        self,
        client: VideoClient,
        *,
        caller: str = "agent",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._caller = caller
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
        return await asyncio.to_thread(build_content, answer, dialect)

    async def call(
        self, name: str, arguments: Mapping[str, JsonValue] | str
    ) -> dict[str, JsonValue]:
        """Run one tool and return its answer as JSON data.

        `arguments` are a mapping or its JSON text; a bridge may have encoded parts of it again.
        Whatever goes wrong comes back as
        `{"error": {"code", "message", "hint", "retryable"}}`.
        """
        try:
            answer = await self._run(_parse(name, arguments))
        except MediaAgentError as error:
            return _as_data(error)
        except Exception as error:  # the last resort: an agent gets no traceback
            _LOGGER.warning("tool %s broke: %s", name, type(error).__name__)
            _LOGGER.debug("tool %s broke", name, exc_info=error)
            return _as_data(error)
        return answer.model_dump(mode="json", exclude_none=True)

    async def _run(self, arguments: ToolArguments) -> Schema:
        match arguments:
            case PlanVideo():
                return await plan_video(self._client, arguments)
            case CreateVideo():
                return await self._view(await create_video(self._client, self._caller, arguments))
            case GetVideo():
                return await self._get(arguments)
            case WaitVideo():
                return await self._view(await self._wait(arguments))
            case ExtendVideo():
                return await self._view(await extend_video(self._client, self._caller, arguments))
            case ListVideos():
                return await self._list_videos(arguments)
            case ListVideoBackends():
                return view_models(await self._client.models(), arguments.search)
            case SteerVideo(job_id=job_id, prompt=prompt, at=at):
                place = "next" if at is None else at
                return await self._view(await self._client.steer(job_id, prompt, at=place))
            case CancelVideo():
                return await self._view(await self._client.cancel(arguments.job_id))
        raise AssertionError(f"no code for {arguments.tool}")

    async def _get(self, arguments: GetVideo) -> JobView:
        view = await self._view(await self._attach(arguments.job_id))
        return view.with_image() if arguments.contact_sheet else view

    async def _list_videos(self, arguments: ListVideos) -> JobListView:
        status = () if arguments.status is None else arguments.status
        most = arguments.most
        jobs = await self._client.list(status=status, before=arguments.before, limit=most + 1)
        return view_jobs(jobs, most)

    async def _wait(self, arguments: WaitVideo) -> VideoJob:
        """Return the job when it is finished, or as it stands when the time is over."""
        until = self._clock() + arguments.patience
        job = await self._attach(arguments.job_id)
        while True:
            left = until - self._clock()
            if job.status.is_terminal or left <= 0:
                return job
            await self._sleep(min(_LOOK_EVERY, left))
            job = await self._client.get(arguments.job_id)

    async def _attach(self, job_id: str) -> VideoJob:
        """Return a job as it stands; one whose process is gone is resumed here."""
        job = await self._client.get(job_id)
        return job if job.status.is_terminal else await self._client.adopt(job_id)

    async def _view(self, job: VideoJob) -> JobView:
        if job.status is JobStatus.COMPLETED:
            folder = self._client.store.jobs.folder(job.id)
            job = await asyncio.to_thread(_add_sheet, job, folder)
        is_moving = self._client.is_running(job.id)
        return view_job(job, verification=await self._find_verification(job), is_moving=is_moving)

    async def _find_verification(self, job: VideoJob) -> str | None:
        try:
            capabilities = await self._client.capabilities(f"{job.plan.backend}/{job.plan.model}")
        except MediaAgentError:  # a job of old, of a backend that is gone
            return None
        return str(capabilities.verification)


def _parse(name: str, arguments: Mapping[str, JsonValue] | str) -> ToolArguments:
    """Return the arguments as the model of their tool.

    Raises:
        InvalidRequestError: there is no such tool, or it does not accept the arguments.
    """
    shapes = {tool.tool: tool for tool in TOOLS}
    if name not in shapes:
        raise InvalidRequestError(f"unknown tool {name!r}", hint=did_you_mean(name, shapes))
    try:
        return shapes[name].model_validate(as_object(arguments, shape=shapes[name]))
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, shapes[name])) from None


def _add_sheet(job: VideoJob, folder: Path) -> VideoJob:
    """Return the job with the contact sheet of its video, kept in a folder; else with a warning."""
    video = job.artifacts[0] if job.artifacts else None
    if video is None or any(each.kind is ArtifactKind.CONTACT_SHEET for each in job.artifacts):
        return job
    sheet = folder / sheet_name(video)
    try:
        if not sheet.exists():
            _write_sheet(job, video, sheet)
    except MediaAgentError as error:
        said = f"{NO_SHEET}: {error.message}"
        return job.model_copy(update={"warnings": (*job.warnings, said)})
    image = Artifact(kind=ArtifactKind.CONTACT_SHEET, path=str(sheet), mime_type="image/png")
    return job.model_copy(update={"artifacts": (*job.artifacts, image)})


def _write_sheet(job: VideoJob, video: Artifact, sheet: Path) -> None:
    """Write the sheet of a video that is still the one of the job.

    Raises:
        StorageError: it is gone or another one, or something cannot be read or written.
    """
    if not is_there(video):
        raise StorageError(f"the video of job {job.id} is gone or was replaced")
    with storage_errors(str(sheet.parent)):
        sheet.parent.mkdir(parents=True, exist_ok=True)
    write_job_sheet(job, sheet)


def _as_data(error: Exception) -> dict[str, JsonValue]:
    info = info_to_tools(to_info(error))
    info = info.model_copy(update={"message": shorten_to_line(info.message, _LONGEST_MESSAGE)})
    return {"error": info.model_dump(mode="json", exclude={"schema_version"}, exclude_none=True)}
