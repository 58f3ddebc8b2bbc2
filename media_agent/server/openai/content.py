"""The bytes of a video: whole, in parts, or as it grows; its thumbnail and its contact sheet."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from media_agent.client import VideoClient
from media_agent.errors import (
    InvalidRequestError,
    JobError,
    JobNotFoundError,
    MediaAgentError,
    VideoNotReadyError,
)
from media_agent.server.context import Server, ServerContext
from media_agent.server.file_response import answer_file
from media_agent.server.jobs.own_job import JobHere
from media_agent.server.live.follow import CutOffError, follow
from media_agent.server.openai.variants import make_sheet, make_thumbnail
from media_agent.server.openai.view import find_videos
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.events import ChunkReady
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind

router = new_router("videos")

_PATIENCE = 30.0  # seconds until the first chunk of a video

_OF_STREAMS = {"Cache-Control": "no-store", "Accept-Ranges": "none"}

VARIANTS = "video | thumbnail | spritesheet | partial, or the number of one of several videos"

Index = Annotated[
    int | None, Query(ge=0, lt=1000, description="Which of several videos; default: 0.")
]
Variant = Annotated[str, Query(max_length=20, description=VARIANTS)]

_RESPONSES: dict[int | str, dict[str, object]] = {
    200: {
        "description": "The file; of a video that is being made all of it, as it comes.",
        "content": {"video/mp4": {}, "image/webp": {}, "image/jpeg": {}},
    },
    206: {"description": "The parts that Range names."},
    304: {"description": "It is the file that If-None-Match names."},
    409: {"description": "There is nothing of the video yet, or it has none."},
    416: {"description": "The file has no such part."},
}


@router.get("/v1/videos/{job_id}/content", response_class=Response, responses=_RESPONSES)
async def get_content(
    job: JobHere,
    server: Server,
    request: Request,
    variant: Variant = "video",
    index: Index = None,
) -> Response:
    """Return a video; one that is being made is sent as it grows, until it is finished."""
    if variant in ("thumbnail", "spritesheet"):
        video = _find_whole(job, index or 0)
        make = make_thumbnail if variant == "thumbnail" else make_sheet
        folder = server.host.client.store.jobs.folder(job.id)
        name = (job.id, variant, video.path)
        path = await server.images.do(name, lambda: make(job, video, folder))
        return await answer_file(request, path, _name(job, path.suffix), path.stem)
    if variant == "partial":
        return await _answer(request, job, _find_partial(job))
    number = _read_number(variant, index)
    if number == 0 and not job.status.is_terminal and not job.plan.held:
        if request.method == "HEAD" and await _streams(server, job):
            return _announce_stream()
        job = await _await_chunk(server, job)
        if not job.status.is_terminal and job.chunks_ready:
            return _stream(server, job)
    job = await server.host.call(lambda client: client.bring_files(job))  # it may have ended now
    return await _answer(request, job, _find_whole(job, number))


router.add_api_route(
    "/v1/videos/{job_id}/content", get_content, methods=["HEAD"], include_in_schema=False
)


async def _answer(request: Request, job: VideoJob, video: Artifact) -> Response:
    if video.path is None:
        raise JobNotFoundError(f"the file of video {job.id} was never fetched from its provider")
    path, name = Path(video.path), _name(job, ".mp4")
    return await answer_file(request, path, name, video.sha256, media_type=video.mime_type)


def _name(job: VideoJob, suffix: str) -> str:
    return f"{job.id}{suffix}"


def _read_number(variant: str, index: int | None) -> int:
    if variant == "video":
        return index or 0
    if variant.isascii() and variant.isdecimal() and len(variant) < 4:
        if index not in (None, int(variant)):
            raise InvalidRequestError(f"index {index} is not variant {variant}", hint="give one")
        return int(variant)
    raise InvalidRequestError(f"unknown variant {variant!r}", hint=f"valid: {VARIANTS}")


def _find_whole(job: VideoJob, number: int) -> Artifact:
    """Return a finished video of a job.

    Raises:
        JobError: there is none, or none yet.
    """
    videos = find_videos(job)
    if number < len(videos):
        return videos[number]
    if job.status is JobStatus.COMPLETED:
        raise JobNotFoundError(f"video {job.id} has {len(videos)} files, numbered from 0")
    if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        said = "has failed" if job.status is JobStatus.FAILED else "was stopped"
        way_out = f"GET /v1/videos/{job.id} says why"
        if any(each.kind is ArtifactKind.PARTIAL_VIDEO for each in job.artifacts):
            way_out += "; variant=partial is what there is of it"
        raise JobError(f"video {job.id} {said}", hint=way_out)
    raise VideoNotReadyError(
        f"video {job.id} is not finished", hint=f"GET /v1/videos/{job.id} until it is completed"
    )


def _find_partial(job: VideoJob) -> Artifact:
    for each in job.artifacts:
        if each.kind is ArtifactKind.PARTIAL_VIDEO:
            return each
    raise JobNotFoundError(f"video {job.id} has no partial video")


async def _await_chunk(server: ServerContext, job: VideoJob) -> VideoJob:
    """Return a job as it is when its first chunk is ready, if its backend delivers chunks."""
    if job.chunks_ready or not await _streams(server, job):
        return job
    with contextlib.suppress(TimeoutError):
        listening = contextlib.aclosing(server.events.listen(job.id, -1, pause=_PATIENCE))
        async with asyncio.timeout(_PATIENCE), listening as news:
            async for told in news:
                if any(isinstance(each.event.event, ChunkReady) for each in told):
                    break
    return await server.host.read(lambda ledger: ledger.jobs.get(job.id))


async def _streams(server: ServerContext, job: VideoJob) -> bool:
    """Return whether there are chunks of a video, or its backend delivers them while it works."""
    if job.chunks_ready:
        return True

    async def look(client: VideoClient) -> bool:
        capabilities = await client.capabilities(f"{job.plan.backend}/{job.plan.model}")
        return capabilities.streams is True and not job.plan.segments

    try:
        return await server.host.call(look)
    except MediaAgentError:  # it is gone, or cannot be asked now
        return False


def _announce_stream() -> Response:
    """Return the head of a video that grows, or soon will: nobody knows its length yet."""
    answer = Response(media_type="video/mp4", headers=_OF_STREAMS)
    del answer.headers["content-length"]
    return answer


def _stream(server: ServerContext, job: VideoJob) -> Response:
    video = follow(server.host, server.events, job)
    return _GrowingVideo(video, media_type="video/mp4", headers=_OF_STREAMS)


class _GrowingVideo(StreamingResponse):
    """A video as it comes; where it is cut off, its connection ends, as of no whole video."""

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(CutOffError):
            await super().stream_response(send)
