"""The files of jobs as resources: `media-agent://jobs/ID/video`, and so on."""

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceLink,
    ResourceTemplate,
    TextResourceContents,
)

from media_agent.errors import MediaAgentError, in_one_sentence
from media_agent.mcp.access import Access, RequestContext
from media_agent.shorten import shorten_to_line
from media_agent.tools import ToolBox
from media_agent.tools.elsewhere import Answer
from media_agent.tools.files import FILE_KINDS, FileKind, JobFile
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.jobs import JobSummary, VideoJob

T = TypeVar("T")
LARGEST_READ = 8_000_000  # bytes; what is read is in memory, in base64 and within one message
_PAGE = 20
_TITLE_SHOWN = 80  # characters
_URI = re.compile(rf"media-agent://jobs/([^/?#]{{1,200}})/({'|'.join(FILE_KINDS)})")
_TYPES: dict[FileKind, str] = {
    "video": "video/mp4",
    "poster": "image/png",
    "contact-sheet": "image/png",
    "record": "application/json",
}
_DESCRIPTIONS: dict[FileKind, str] = {
    "video": "The video of a finished job.",
    "poster": "Its first frame.",
    "contact-sheet": "Frames of it side by side, over each stretch its prompt.",
    "record": "Exactly what was asked, adjusted, sent and delivered.",
}


def build_uri(job_id: str, kind: FileKind) -> str:
    """Return the address of a file of a job."""
    return f"media-agent://jobs/{job_id}/{kind}"


def link_files(job: VideoJob) -> Iterator[ResourceLink]:
    """Yield links to the files of a job that has a video."""
    for kind in FILE_KINDS:
        size = job.artifacts[0].size_bytes if kind == "video" and job.artifacts else None
        yield ResourceLink(
            name=kind, uri=build_uri(job.id, kind), mime_type=_TYPES[kind], size=size
        )


def list_templates() -> ListResourceTemplatesResult:
    """Return what files a job may have."""
    return ListResourceTemplatesResult(
        resource_templates=[
            ResourceTemplate(
                name=kind,
                uri_template=build_uri("{job_id}", kind),
                description=_DESCRIPTIONS[kind],
                mime_type=_TYPES[kind],
            )
            for kind in FILE_KINDS
        ]
    )


async def list_resources(
    access: Access, context: RequestContext, params: PaginatedRequestParams | None
) -> ListResourcesResult:
    """Return a page of videos, newest first.

    Raises:
        MCPError: the cursor is none of ours.
    """
    before = None if params is None else params.cursor

    async def look(box: ToolBox) -> list[JobSummary] | Answer:
        try:
            return await box.list_completed(before=before, limit=_PAGE + 1)
        except MediaAgentError as error:
            return box.describe(error)

    jobs = _unless_error(await access(context, look))
    more = jobs[_PAGE - 1].id if len(jobs) > _PAGE else None
    return ListResourcesResult(resources=[_describe(job) for job in jobs[:_PAGE]], next_cursor=more)


async def read_resource(
    access: Access, context: RequestContext, params: ReadResourceRequestParams
) -> ReadResourceResult:
    """Return the content of a file that is not too large for a message.

    Raises:
        MCPError: there is none, or not yet; or it is too large, and the error says where it is.
    """
    asked = _URI.fullmatch(params.uri)
    if asked is None:
        said = f"unknown resource {params.uri!r:.200}; it should be {build_uri('ID', 'video')}"
        raise MCPError(INVALID_PARAMS, said)
    kind = next(each for each in FILE_KINDS if each == asked[2])

    async def look(box: ToolBox) -> JobFile | Answer:
        try:
            return await box.file(asked[1], kind)
        except MediaAgentError as error:
            return box.describe(error)

    file = _unless_error(await access(context, look))
    if file.size > LARGEST_READ:
        raise MCPError(
            INVALID_PARAMS,
            f"the {kind} has {file.size / 1e6:.1f} MB, and at most {LARGEST_READ / 1e6:.0f} MB are "
            f"read as a resource; it is at {file.place}",
        )
    content = await asyncio.to_thread(_read, file.path)
    if kind == "record":
        text = content.decode("utf-8")
        record = TextResourceContents(uri=params.uri, mime_type=file.mime_type, text=text)
        return ReadResourceResult(contents=[record])
    blob = base64.b64encode(content).decode("ascii")
    whole = BlobResourceContents(uri=params.uri, mime_type=file.mime_type, blob=blob)
    return ReadResourceResult(contents=[whole])


def _describe(job: JobSummary) -> Resource:
    return Resource(
        name=job.id,
        title=shorten_to_line(job.title, _TITLE_SHOWN),
        uri=build_uri(job.id, "video"),
        mime_type=_TYPES["video"],
    )


def _unless_error(found: T | Answer) -> T:
    """Return what was found.

    Raises:
        MCPError: something went wrong instead.
    """
    if isinstance(found, dict):
        info = ErrorInfo.model_validate(found["error"])
        raise MCPError(INVALID_PARAMS, in_one_sentence(info), found["error"])
    return found


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_READ)
