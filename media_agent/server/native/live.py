"""A video as HLS, while it is made and afterwards."""

import asyncio
from typing import Annotated

from fastapi import Path, Response

from media_agent.errors import JobNotFoundError, VideoNotReadyError
from media_agent.server.context import Server, ServerContext
from media_agent.server.jobs.own_job import OwnJob
from media_agent.server.live.hls import Segments, measure_peak, write_playlist
from media_agent.server.live.master import write_master
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.events import ChunkReady
from media_agent_schemas.jobs import JobStatus, VideoJob

router = new_router("live video", prefix="/v1/jobs/{job_id}/live")
_PLAYLIST = "application/vnd.apple.mpegurl"
_KEPT = {"Cache-Control": "private, max-age=3600"}
_CHANGES = {"Cache-Control": "no-store"}

Number = Annotated[int, Path(ge=0, le=10**8, description="0 for the first.")]


@router.get(
    "/index.m3u8",
    response_class=Response,
    responses={200: {"content": {_PLAYLIST: {"schema": {"type": "string"}}}}},
)
async def get_playlist(job: OwnJob, server: Server) -> Response:
    """Return the playlist; of a video that is being made it grows with every chunk."""
    segments = await _find(job, server)
    playlist = write_playlist(segments.lengths(), is_over=job.status.is_terminal)
    return Response(playlist, media_type=_PLAYLIST, headers=_CHANGES)


@router.get(
    "/master.m3u8",
    response_class=Response,
    responses={200: {"content": {_PLAYLIST: {"schema": {"type": "string"}}}}},
)
async def get_master(job: OwnJob, server: Server) -> Response:
    """Return the master playlist, for players that ask for codecs, size and bit rate first."""
    segments = await _find(job, server)
    header, segment = await _read(segments, 0, job)
    peak = await asyncio.to_thread(measure_peak, segments)
    master = await asyncio.to_thread(write_master, header, segment, peak)
    return Response(master, media_type=_PLAYLIST, headers=_CHANGES)


@router.get(
    "/init.mp4",
    response_class=Response,
    responses={200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_header(job: OwnJob, server: Server) -> Response:
    """Return what a player needs before any segment."""
    header, _ = await _read(await _find(job, server), 0, job)
    return Response(header, media_type="video/mp4", headers=_CHANGES)


@router.get(
    "/{number}.m4s",
    response_class=Response,
    responses={
        200: {"content": {"video/iso.segment": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def get_segment(job: OwnJob, number: Number, server: Server) -> Response:
    """Return a segment, as the playlist names it."""
    _, segment = await _read(await _find(job, server), number, job)
    return Response(segment, media_type="video/iso.segment", headers=_KEPT)


async def _find(job: VideoJob, server: ServerContext) -> Segments:
    if job.plan.held and job.status is not JobStatus.COMPLETED:
        if job.status.is_terminal:
            raise JobNotFoundError(f"job {job.id} has no video")
        raise VideoNotReadyError(f"nothing of job {job.id} is shown until it is complete")
    newest = await server.host.read(lambda ledger: ledger.events.newest_chunk(job.id))
    path = newest.event.path if newest and isinstance(newest.event, ChunkReady) else None
    frames: tuple[int, ...] = ()
    if job.status.is_terminal and newest is not None and not server.hls.knows(job):
        frames = await server.host.read(lambda ledger: ledger.events.chunk_lengths(job.id))
    return await asyncio.to_thread(server.hls.find, job, path, frames)


async def _read(segments: Segments, number: int, job: VideoJob) -> tuple[bytes, bytes]:
    if number >= len(segments.lengths()):
        raise JobNotFoundError(f"job {job.id} has no segment {number}")
    return await asyncio.to_thread(segments.read, number)
