"""From wishes to a finished job: plan, progress, signals, and what is said at the end."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from media_agent.cli.arguments import build_request, check_sheet, default_place
from media_agent.cli.progress import ProgressLine
from media_agent.cli.routing import NO_FLAGS, RoutingFlags
from media_agent.cli.screen import say, tell
from media_agent.cli.signals import Interruption, cancelled_by_signals
from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError, JobNotFoundError, exit_code
from media_agent.job_sheet import write_job_sheet
from media_agent.options import read_options
from media_agent.reasons import price_of
from media_agent_schemas.capabilities import Plan, Policy
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.request import VideoRequest


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says, each word where it belongs."""

    prompt: str
    shots: tuple[str, ...] = ()
    backend: str | None = None
    duration: float | None = None
    endless: bool = False
    image: Path | None = None
    seed: int | None = None
    size: str | None = None
    fps: float | None = None
    out: Path | None = None
    sheet: Path | None = None
    policy: Policy | None = None
    routing: RoutingFlags = NO_FLAGS
    options: tuple[str, ...] = ()
    allow_unknown_words: bool = False
    idempotency_key: str | None = None
    overwrite: bool = False
    json: bool = False


async def make(wishes: Wishes) -> int:
    """Make the video and return the exit code.

    Raises:
        MediaAgentError: nothing was made.
    """
    check_sheet(wishes.sheet, overwrite=wishes.overwrite)
    with cancelled_by_signals() as interruption:
        try:
            async with VideoClient() as client:
                job = await _make(client, wishes, interruption)
                if wishes.sheet is not None and job.status is JobStatus.COMPLETED:
                    await asyncio.to_thread(write_job_sheet, job, wishes.sheet)
        except asyncio.CancelledError:
            if interruption.number is None:
                raise
            say("stopped before anything was made")
            return interruption.exit_code
    return _report(job, wishes, interruption)


async def _make(client: VideoClient, wishes: Wishes, interruption: Interruption) -> VideoJob:
    backend = wishes.backend
    if backend is None and wishes.routing.routing() is None:
        backend = client.settings.default_backend
    request = await request_of(client, wishes, backend)
    plans = await client.plans(
        request, policy=wishes.policy, allow_unknown_words=wishes.allow_unknown_words
    )
    plan = plans[0]
    announce(plan)
    out = default_place(plan) if wishes.out is None else wishes.out
    job_id = client.new_job_id()
    with ProgressLine(plan) as progress:
        try:
            return await client.generate(
                request,
                plans=plans,
                out=out,
                overwrite=wishes.overwrite,
                job_id=job_id,
                idempotency_key=wishes.idempotency_key,
                on_event=progress,
            )
        except asyncio.CancelledError:
            if interruption.number is None:
                raise
            return await _stopped(client, job_id)


async def request_of(client: VideoClient, wishes: Wishes, backend: str | None) -> VideoRequest:
    """Return the request of a command line, to one backend or, if None, to whoever is best.

    Raises:
        InvalidRequestError: a value is impossible, or options are given and no backend.
    """
    options: dict[str, JsonValue] = {}
    if backend is not None:
        options = read_options(wishes.options, await client.capabilities(backend))
    elif wishes.options:
        raise InvalidRequestError(
            f"--option {wishes.options[0]} is of one backend", hint="name it with --backend"
        )
    return build_request(wishes, backend, options)


async def _stopped(client: VideoClient, job_id: str) -> VideoJob:
    """Return the job that a signal ended, if it had begun."""
    try:
        return await client.get(job_id)
    except JobNotFoundError:
        raise asyncio.CancelledError from None


def announce(plan: Plan) -> None:
    """Say on stderr what differs from what was asked."""
    for change in plan.adjustments:
        if change.asked is not None and change.field != "model":
            said = "nothing" if change.used is None else change.used
            say(f"adjusted: {change.field} {change.asked} -> {said} ({change.reason})")
    if plan.parts:
        price = price_of(plan.estimate)
        say(f"in {len(plan.parts)} parts, each submitted by itself: {price}")
    for warning in plan.warnings:
        say(f"warning: {warning}")


def _report(job: VideoJob, wishes: Wishes, interruption: Interruption) -> int:
    """Say how it ended and return the exit code."""
    for warning in job.warnings[len(job.plan.warnings) :]:
        say(f"warning: {warning}")
    if wishes.json:
        print(job.model_dump_json(indent=2))
    elif job.status is JobStatus.COMPLETED:
        tell(f"{job.artifacts[0].path}: {_facts(job)}")
        tell(f"{job.record_path}: the record of what was asked, adjusted, sent and delivered")
        if wishes.sheet is not None:
            tell(f"{wishes.sheet}: the film at a glance")
    if job.status is JobStatus.COMPLETED:
        return 0
    kept = f"; what was made is in {job.artifacts[0].path}" if job.artifacts else ""
    if job.error is not None:
        hint = "" if job.error.hint is None else f" ({job.error.hint})"
        say(f"error: {job.error.message}{hint}{kept}")
        return exit_code(job.error)
    say(f"stopped: {_facts(job) if job.artifacts else 'no frames yet'}{kept}")
    return interruption.exit_code


def _facts(job: VideoJob) -> str:
    film = job.artifacts[0].metadata
    seconds = (job.updated_at - job.created_at).total_seconds()
    seed = "" if job.plan.request.seed is None else f" with seed {job.plan.request.seed}"
    made = f"made by {job.plan.backend}/{job.plan.model}{seed} in {seconds:.1f} s"
    if film is None:
        return made
    planned = job.plan.request.num_frames
    of_all = "" if planned is None or planned == film.frames else f" of {planned}"
    size = f"{film.width}x{film.height}"
    return f"{film.frames}{of_all} frames, {film.duration:.2f} s, {size}, {film.fps:g} fps, {made}"
