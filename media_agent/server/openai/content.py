"""The bytes of a video: whole, in parts, or as it grows; its thumbnail and its contact sheet."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from media_agent.errors import InvalidRequestError, JobError, JobNotFoundError
from media_agent.ledger.ledger import Ledger
from media_agent.server.context import Server, ServerContext
from media_agent.server.file_response import answer_file
from media_agent.server.openai.variants import make_sheet, make_thumbnail
from media_agent.server.openai.view import find_videos
from media_agent.server.own_job import OwnJob
from media_agent_schemas.events import ChunkReady
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind

router = APIRouter(tags=["videos"])

_LOOK_SECONDS = 0.2
_BLOCK = 256 * 1024

VARIANTS = "video | thumbnail | spritesheet | partial, or the number of one of several videos"

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
    job: OwnJob, server: Server, request: Request, variant: Variant = "video"
) -> Response:
    """Return a video; one that is being made is sent as it grows, until it is finished."""
    if variant in ("thumbnail", "spritesheet"):
        video = _find_whole(job, 0)
        make = make_thumbnail if variant == "thumbnail" else make_sheet
        folder = server.host.client.store.jobs.folder(job.id)
        path = await asyncio.to_thread(make, job, video, folder)
        return answer_file(request, path, _name(job, path.suffix), path.stem)
    if variant == "partial":
        return _answer(request, job, _find_partial(job))
    number = _read_number(variant)
    if number == 0 and not job.status.is_terminal and job.chunks_ready:
        path = await server.host.read(lambda ledger: _find_growing(ledger, job.id))
        if path is not None:
            return StreamingResponse(
                _follow(server, job.id, path),
                media_type="video/mp4",
                headers={"Cache-Control": "no-store", "Accept-Ranges": "none"},
            )
    return _answer(request, job, _find_whole(job, number))


router.add_api_route(
    "/v1/videos/{job_id}/content", get_content, methods=["HEAD"], include_in_schema=False
)


def _answer(request: Request, job: VideoJob, video: Artifact) -> Response:
    path = None if video.path is None else Path(video.path)
    if path is None or not path.is_file():
        raise JobNotFoundError(
            f"the file of video {job.id} is gone", hint="it was moved or removed since it was made"
        )
    return answer_file(request, path, _name(job, ".mp4"), video.sha256, media_type=video.mime_type)


def _name(job: VideoJob, suffix: str) -> str:
    return f"{job.id}{suffix}"


def _read_number(variant: str) -> int:
    if variant == "video":
        return 0
    if variant.isascii() and variant.isdecimal() and len(variant) < 4:
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
    raise JobError(
        f"video {job.id} is not finished", hint=f"GET /v1/videos/{job.id} until it is completed"
    )


def _find_partial(job: VideoJob) -> Artifact:
    for each in job.artifacts:
        if each.kind is ArtifactKind.PARTIAL_VIDEO:
            return each
    raise JobNotFoundError(f"video {job.id} has no partial video")


def _find_growing(ledger: Ledger, job_id: str) -> Path | None:
    """Return the file that a video grows in, as its newest chunk says."""
    for numbered in reversed(list(ledger.events.read(job_id, -1))):
        event = numbered.event
        if isinstance(event, ChunkReady) and event.path is not None:
            path = Path(event.path)
            return path if path.is_file() else None
    return None


async def _follow(server: ServerContext, job_id: str, path: Path) -> AsyncIterator[bytes]:
    """Yield a growing file to the end of its job.

    The process that makes it may end and another one write the file again, with the same bytes: it
    is opened again then, at the same place.
    """
    sent = 0
    while not server.stopping.is_set():
        is_over = await server.host.read(lambda ledger: _is_over(ledger, job_id))
        block = await asyncio.to_thread(_read_from, path, sent)
        while block:
            yield block
            sent += len(block)
            block = await asyncio.to_thread(_read_from, path, sent)
        if is_over:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _is_over(ledger: Ledger, job_id: str) -> bool:
    try:
        return ledger.jobs.get(job_id).status.is_terminal
    except JobNotFoundError:  # it was deleted
        return True


def _read_from(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(_BLOCK)
    except FileNotFoundError:  # it is being put in place, or was tidied away
        return b""
