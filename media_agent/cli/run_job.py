"""From an order to a finished job: plan, progress, signals, and the report at the end."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from media_agent.cli.confirm import confirm_plans
from media_agent.cli.default_place import choose_default_place
from media_agent.cli.progress import ProgressLine
from media_agent.cli.request.build import Order, plan_order
from media_agent.cli.request.flags import OutputFlags
from media_agent.cli.screen import (
    quietly,
    write_error,
    write_json,
    write_json_error,
    write_raw_line,
    write_stderr,
    write_stdout,
)
from media_agent.cli.signals import Interruption, cancel_on_signals, let_finish, note_place
from media_agent.cli.whereabouts import describe_elsewhere
from media_agent.client import VideoClient
from media_agent.error_codes import exit_code
from media_agent.errors import (
    InvalidRequestError,
    JobCancelledError,
    JobNotFoundError,
    MediaAgentError,
    in_full,
    to_info,
)
from media_agent.provenance.job_sheet import write_job_sheet
from media_agent.routing.explain import describe_changes
from media_agent.storage.files import free_bytes
from media_agent.storage.new_file import check_new_file
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoMode

_WORTH_REPORTING = 10_000_000  # bytes on disk


async def make(order: Order) -> int:
    """Make the video and return the exit code.

    Raises:
        MediaAgentError: nothing was made.
    """
    job, has_sheet = None, False
    elsewhere: dict[str, str] = {}
    with quietly(order.output.quiet), cancel_on_signals() as interruption:
        try:
            async with VideoClient() as client:
                job = await _make(client, order, interruption)
                has_sheet = await _write_sheet(job, order.output.sheet)
                elsewhere = await describe_elsewhere(job, client.settings)
        except asyncio.CancelledError:
            if interruption.number is None:
                raise
        if job is None:
            stopped = to_info(JobCancelledError("stopped before anything was generated"))
            write_error(stopped)
            if order.output.json:
                write_json_error(stopped)
            return interruption.exit_code
        if order.detach and not job.status.is_terminal:
            return _report_queued(job, order.output)
        return _report(job, order.output, interruption, elsewhere, has_sheet=has_sheet)


async def _make(client: VideoClient, order: Order, interruption: Interruption) -> VideoJob:
    output = order.output
    _check_detach(client, order)
    is_known = client.knows(order.idempotency_key)
    if output.sheet is not None:
        overwrite = output.overwrite or is_known
        check_new_file(output.sheet, "--sheet", overwrite=overwrite, suffix=".png")
    request, plans = await plan_order(client, order)
    plan = plans[0]
    announce(plan, free_bytes=free_bytes(client.settings.data_dir))
    if not is_known:
        limit = client.settings.confirm_above_usd
        plans = await confirm_plans(plans, above=limit, yes=output.yes)
    place = None
    if output.out is None and not is_known and not order.detach:
        place = choose_default_place(plan, overwrite=output.overwrite)
    announce_keys(client, (plan.backend for plan in plans))
    job_id = client.new_job_id()
    announce_queue(client, plan)
    if order.detach:
        return await client.start(
            request,
            plans=plans,
            out=output.out,
            overwrite=output.overwrite,
            job_id=job_id,
            idempotency_key=order.idempotency_key,
            label=output.label,
        )
    let_finish(client, job_id, plan, interruption)
    await note_place(client, plan, interruption)
    with ProgressLine(plan, follow=output.follow) as progress:
        try:
            job = await client.generate(
                request,
                plans=plans,
                out=output.out,
                default_out=place,
                overwrite=output.overwrite,
                job_id=job_id,
                idempotency_key=order.idempotency_key,
                label=output.label,
                on_event=progress,
            )
        except asyncio.CancelledError:
            if interruption.number is None:
                raise
            job = await _get_stopped(client, job_id)
    for warning in find_new_warnings(job, plan):
        write_stderr(f"warning: {warning}")
    return job


def _check_detach(client: VideoClient, order: Order) -> None:
    if not order.detach:
        return
    if client.settings.jobs.runner == "inline":
        raise InvalidRequestError(
            "--detach needs workers: the runner of these settings works in the process that asks",
            hint='set runner = "dbos" under [jobs], and start media-agent worker',
        )
    if order.output.sheet is not None or order.output.follow:
        raise InvalidRequestError("--sheet and --follow wait for the video, --detach does not")


async def _write_sheet(job: VideoJob, sheet: Path | None) -> bool:
    """Write the contact sheet, if one is wanted; without it the video is there all the same."""
    if sheet is None or job.status is not JobStatus.COMPLETED:
        return False
    try:
        await asyncio.to_thread(write_job_sheet, job, sheet)
    except MediaAgentError as error:
        write_stderr(f"warning: no contact sheet: {in_full(error)}")
        return False
    return True


async def _get_stopped(client: VideoClient, job_id: str) -> VideoJob:
    """Return the job that a signal ended, if it had begun."""
    try:
        return await client.get(job_id)
    except JobNotFoundError:
        raise asyncio.CancelledError from None


def announce_keys(client: VideoClient, backends: Iterable[str]) -> None:
    """Say on stderr which keys are used that the settings do not name."""
    for backend in dict.fromkeys(backends):
        found = client.find_key(backend)
        if found.is_usual:
            write_stderr(f"using {found.source}")


def announce_queue(client: VideoClient, plan: Plan) -> None:
    """Say on stderr which workers a job waits for, where this process does not work on it."""
    if client.settings.jobs.runner == "inline":
        return
    from media_agent.cluster.turns import name_queue

    queue = name_queue(plan, client.settings.backends)
    write_stderr(f"waits for the workers of {queue}: media-agent worker --queues {queue}")


def announce(plan: Plan, *, free_bytes: int | None = None) -> None:
    """Say on stderr what differs from what was asked, and what does not fit on the disk."""
    for change in describe_changes(plan):
        write_stderr(f"adjusted: {change}")
    if plan.segments:
        write_stderr(f"in {plan.submissions} segments, each submitted separately")
    if plan.estimate.memory is not None:
        write_stderr(f"memory: {plan.estimate.memory}")
        if not plan.estimate.memory.fits:
            write_stderr("warning: it may run out of memory; the settings insist on this way")
    states = plan.estimate.disk_bytes or 0
    if states > _WORTH_REPORTING:
        write_stderr(
            f"keeps {states / 1e6:.1f} MB in addition to the video, for resuming and branching"
        )
    if free_bytes is not None and states > free_bytes:
        write_stderr(
            f"warning: only {free_bytes / 1e6:.1f} MB free; the video breaks off when they run out"
        )
    for warning in plan.warnings:
        write_stderr(f"warning: {warning}")


def find_new_warnings(job: VideoJob, announced: Plan) -> list[str]:
    """Return what a job warns of beyond the plan that was announced; it may have left that plan."""
    return [warning for warning in job.warnings if warning not in announced.warnings]


def _report_queued(job: VideoJob, output: OutputFlags) -> int:
    if output.json:
        write_json(job)
    else:
        write_stdout(job.id)
        write_stderr(f"queued; media-agent jobs show {job.id} says how it stands")
    return 0


def _report(
    job: VideoJob,
    output: OutputFlags,
    interruption: Interruption,
    elsewhere: Mapping[str, str],
    *,
    has_sheet: bool,
) -> int:
    """Say how it ended and return the exit code; `elsewhere` has what is said of absent files."""
    if output.json:
        write_json(job)
    elif output.quiet:
        for file in job.artifacts if job.status is JobStatus.COMPLETED else ():
            write_raw_line(str(file.path or file.uri))
    elif job.status is JobStatus.COMPLETED:
        path = str(job.artifacts[0].path)
        write_stdout(f"{path}{elsewhere.get(path, '')}: {_describe(job)}")
        if job.plan.request.infer_mode() is VideoMode.VIDEO_EXTEND:
            write_stdout(f"{path}: {describe_extension(job)}")
        for other in job.artifacts[1:]:
            write_stdout(f"{other.path or other.uri}: another {other.kind} of this job")
        write_stdout(
            f"{job.record_path}: the record of what was asked, adjusted, sent and delivered"
        )
        if has_sheet:
            write_stdout(f"{output.sheet}: the video at a glance")
    if job.status is JobStatus.COMPLETED:
        return 0
    if job.error is not None:
        write_error(job.error, kept=describe_kept(job))
        return exit_code(job.error)
    write_stderr(
        f"stopped: {_describe(job) if job.artifacts else 'no frames yet'}{describe_kept(job)}"
    )
    return interruption.exit_code


def describe_kept(job: VideoJob) -> str:
    """Return where the beginning of a video that broke off is, as the end of a sentence."""
    if not job.artifacts:
        return ""
    if (path := job.artifacts[0].path) is not None:
        return f"; the frames so far are in {path}"
    return "" if job.record_path is None else f"; its address is in {job.record_path}"


def describe_extension(job: VideoJob) -> str:
    """Say whether a video that continues another one is the whole or only the new part."""
    joined = job.artifacts[0].joined
    if joined is None:
        return "only the new part of the video"
    source = f"{joined.seconds:.2f} s of {joined.source or 'the source'}"
    return f"the whole video: {source}, then {joined.new_frames} new frames"


def _describe(job: VideoJob) -> str:
    artifact = job.artifacts[0]
    video = artifact.metadata
    seconds = (job.updated_at - job.created_at).total_seconds()
    seed = "" if job.plan.request.seed is None else f" with seed {job.plan.request.seed}"
    made = f"generated by {job.plan.backend}/{job.plan.model}{seed} in {seconds:.1f} s"
    if video is None:
        return made
    plan_order = job.plan.request.num_frames
    is_all = plan_order is None or video.frames >= plan_order or artifact.joined is not None
    of_all = "" if is_all else f" of {plan_order}"
    size, audio = f"{video.width}x{video.height}", ", with audio" if video.has_audio else ""
    return (
        f"{video.frames}{of_all} frames, {video.duration:.2f} s, {size}, {video.fps:g} fps{audio}, "
        f"{made}"
    )
