"""What the commands about jobs do with a client: resume, ask, stop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

from pydantic import JsonValue

from media_agent.cli.confirm import confirm_rest
from media_agent.cli.progress import ProgressLine
from media_agent.cli.run_job import announce_keys, announce_queue, describe_kept
from media_agent.cli.screen import (
    error_as_json,
    format_size,
    write_error,
    write_json,
    write_stderr,
    write_stdout,
)
from media_agent.cli.signals import Interruption, cancel_on_signals, let_finish, note_place
from media_agent.cli.whereabouts import describe_elsewhere
from media_agent.client import VideoClient
from media_agent.error_codes import exit_code
from media_agent.errors import JobCancelledError, MediaAgentError, to_info
from media_agent.jobs.housekeeping.remove import Removal
from media_agent_schemas.events import PromptChanged
from media_agent_schemas.jobs import JobStatus, VideoJob

_PATIENCE, _LOOK_EVERY = 3.0, 0.1  # seconds to wait for word of a new prompt, and between two looks


class _Outcomes:
    """What became of several jobs: a row of each, in order, also of those that it failed for."""

    def __init__(self) -> None:
        self.rows: list[dict[str, JsonValue]] = []
        self.codes: list[int] = []

    @property
    def exit_code(self) -> int:
        """The first code that is not 0."""
        return next(filter(None, self.codes), 0)

    async def collect(
        self, job_ids: Sequence[str], act: Callable[[str], Awaitable[dict[str, JsonValue]]]
    ) -> None:
        """Do the same for each job; one that it cannot be done for does not stop the others.

        Raises:
            MediaAgentError: there is only one job, and it cannot be done for it.
        """
        for job_id in job_ids:
            try:
                self.rows.append(await act(job_id))
            except MediaAgentError as error:
                if len(job_ids) == 1:
                    raise
                write_error(error, place=f"{job_id}: ")
                self.rows.append({"job": job_id, **error_as_json(to_info(error))})
                self.codes.append(exit_code(error))


async def resume_jobs(job_id: str | None, *, take_over: bool, yes: bool, json: bool) -> int:
    """Resume one job or all whose process is gone; return the exit code of the first bad end."""
    outcomes = _Outcomes()
    with cancel_on_signals() as interruption:
        try:
            async with VideoClient() as client:
                wanted = [job_id] if job_id is not None else await _list_orphans(client)
                if not wanted:
                    write_stderr("no jobs to resume")

                async def resume(each: str) -> dict[str, JsonValue]:
                    end = await _resume(client, each, interruption, take_over=take_over, yes=yes)
                    if not json:
                        _report_end(end, await describe_elsewhere(end, client.settings))
                    outcomes.codes.append(_exit_code(end))
                    return end.model_dump(mode="json")

                await outcomes.collect(wanted, resume)
        except asyncio.CancelledError:
            if interruption.number is None:
                raise
            hint = "media-agent jobs list shows its state"
            stopped = to_info(JobCancelledError("stopped", hint=hint))
            write_error(stopped)
            if json:
                write_json({"data": outcomes.rows, **error_as_json(stopped)})
            return interruption.exit_code
    if json:
        write_json({"data": outcomes.rows})
    return outcomes.exit_code


async def reconcile(job_id: str | None, *, json: bool) -> int:
    """Report what is known of work whose reply was lost; return the code of the first error."""
    outcomes = _Outcomes()
    async with VideoClient() as client:

        async def ask(each: str) -> dict[str, JsonValue]:
            _announce_lookup(await client.get(each))
            finding = await client.reconcile(each)
            if not json:
                write_stdout(f"{each}: {finding.said}")
            ref = None if finding.ref is None else finding.ref.operation_id
            return {"job": each, "status": finding.job.status, "ref": ref, "said": finding.said}

        wanted = [job_id] if job_id is not None else await _list_unknown(client)
        await outcomes.collect(wanted, ask)
    if json:
        write_json({"data": outcomes.rows})
    elif not wanted:
        write_stdout("no jobs with an unknown outcome")
    return outcomes.exit_code


async def cancel(job_id: str, *, json: bool) -> int:
    """Stop a job and report what became of it."""
    async with VideoClient() as client:
        job = await client.cancel(job_id)
    said = "stop requested; its process stops it shortly, and jobs show says what may be billed"
    if job.status.is_terminal:
        said = str(job.status)
        said += f"; {job.cancellation.said}" if job.cancellation is not None else ""
    told = None if job.cancellation is None else job.cancellation.model_dump(mode="json")
    _report_command(job, said, json=json, cancellation=told)
    return 0


async def remove(job_ids: Sequence[str], *, force: bool, videos: bool, json: bool) -> int:
    """Remove jobs, report what went and what stayed, and return the code of the first error."""
    outcomes = _Outcomes()
    async with VideoClient() as client:

        async def remove_one(job_id: str) -> dict[str, JsonValue]:
            removal = await client.remove(job_id, force=force, videos=videos)
            if not json:
                _report_removal(removal)
            return {
                "job": job_id,
                "freed_bytes": removal.freed_bytes,
                "removed": [*removal.removed_videos],
                "kept": [*removal.kept_videos],
            }

        await outcomes.collect(job_ids, remove_one)
    if json:
        write_json({"data": outcomes.rows})
    return outcomes.exit_code


def _report_removal(removal: Removal) -> None:
    gone = "".join(f", with {path}" for path in removal.removed_videos)
    kept = "".join(f"; kept {path}" for path in removal.kept_videos)
    freed = format_size(removal.freed_bytes)
    write_stdout(f"{removal.job_id}: removed{gone}, {freed} freed{kept}")


async def change_prompt(
    job_id: str,
    prompt: str,
    *,
    at: Literal["next", "now"] | int,
    allow_unknown_words: bool,
    json: bool,
) -> int:
    """Change the prompt of a video, and report it."""
    async with VideoClient() as client:
        last = max((each.sequence for each in await client.events(job_id)), default=-1)
        job = await client.steer(job_id, prompt, at=at, allow_unknown_words=allow_unknown_words)
        chunk = await _wait_for_change(client, job_id, last)
        if chunk is not None:
            said = f"prompt changed from chunk {chunk + 1} on"
        else:
            start = {"next": "with the next chunk", "now": "now"}.get(str(at), f"after {at} chunks")
            effect = f"takes effect {start}; {job.chunks_ready} chunks are finished"
            said = _describe_queued(client, job_id, "prompt change", effect)
    _report_command(job, said, json=json, chunk=chunk)
    return 0


async def _wait_for_change(client: VideoClient, job_id: str, after: int) -> int | None:
    """Return from which chunk on a new prompt holds, None if that is not known soon."""
    for _ in range(round(_PATIENCE / _LOOK_EVERY)):
        if not client.is_running(job_id):
            return None
        for numbered in await client.events(job_id, after=after):
            if isinstance(numbered.event, PromptChanged):
                return numbered.event.chunk
        await asyncio.sleep(_LOOK_EVERY)
    return None


async def finish_video(job_id: str, *, json: bool) -> int:
    """End a video with its next chunk, and report it."""
    async with VideoClient() as client:
        job = await client.finish(job_id)
        ready = job.chunks_ready
        effect = (
            f"ends the video with chunk {ready + 1}, or a little later if more are under way; "
            f"{ready} chunks are finished"
        )
        said = _describe_queued(client, job_id, "finish", effect)
    _report_command(job, said, json=json)
    return 0


def _describe_queued(client: VideoClient, job_id: str, what: str, effect: str) -> str:
    if client.is_running(job_id):
        return f"{what} queued; it {effect}"
    if client.settings.jobs.runner == "inline":
        return f"{what} queued, but its process is gone; jobs resume applies it"
    return f"{what} queued; the worker that takes the job applies it"


def _report_command(job: VideoJob, said: str, *, json: bool, **facts: JsonValue) -> None:
    """Say what became of a command to a job."""
    if json:
        row: dict[str, JsonValue] = {"job": job.id, "status": job.status, **facts, "said": said}
        write_json({"data": [row]})
    else:
        write_stdout(f"{job.id}: {said}")


async def _resume(
    client: VideoClient, job_id: str, interruption: Interruption, *, take_over: bool, yes: bool
) -> VideoJob:
    job = await client.get(job_id)
    if job.status is not JobStatus.COMPLETED and (take_over or not client.is_running(job_id)):
        await confirm_rest(job, above=client.settings.confirm_above_usd, yes=yes)
        announce_keys(client, [job.plan.backend])
        let_finish(client, job_id, job.plan, interruption)
        await note_place(client, job.plan, interruption)
    if not job.status.is_terminal:
        announce_queue(client, job.plan)
    _announce_lookup(job)
    with ProgressLine(job.plan, frames=job.frames_ready) as progress:
        ended = await client.resume(job_id, take_over=take_over, on_event=progress)
    if job.status.is_terminal and ended.updated_at == job.updated_at:
        write_stderr(f"{job_id} has already ended")
    return ended


def _announce_lookup(job: VideoJob) -> None:
    """Announce what may take a minute."""
    if job.status is JobStatus.OUTCOME_UNKNOWN:
        write_stderr(f"looking for {job.id} on {job.plan.backend}")


async def _list_orphans(client: VideoClient) -> list[str]:
    return [job.id for job in await client.orphans()]


async def _list_unknown(client: VideoClient) -> list[str]:
    """Return the jobs that may have been accepted without our knowing where, oldest first."""
    jobs = [job for job in client.store.jobs.unsettled() if job.status is JobStatus.OUTCOME_UNKNOWN]
    return [job.id for job in jobs] + await _list_orphans(client)


def _report_end(job: VideoJob, elsewhere: Mapping[str, str]) -> None:
    if job.status is JobStatus.COMPLETED:
        path = str(job.artifacts[0].path)
        write_stdout(f"{path}{elsewhere.get(path, '')}: job {job.id}, record {job.record_path}")
        return
    if job.error is None:
        stopped = "" if job.cancellation is None else f"; {job.cancellation.said}"
        write_stderr(f"{job.id}: {job.status}{describe_kept(job)}{stopped}")
    else:
        write_error(job.error, place=f"{job.id}: ", kept=describe_kept(job))


def _exit_code(job: VideoJob) -> int:
    if job.status is JobStatus.CANCELLED:
        return exit_code(JobCancelledError(f"job {job.id} was cancelled"))
    return 0 if job.error is None else exit_code(job.error)
