"""Branches: a video that shares the first chunks of another one and then goes its own way."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from media_agent.errors import InvalidRequestError, JobError, NotResumableError
from media_agent.jobs.continuing.branch_state import (
    check_branches,
    chunks_of,
    count_kept,
    describe_replay,
    find_token,
    folder_of,
    is_whole,
    parent_of,
    sent_shots,
    whole_chunks,
)
from media_agent.jobs.continuing.source_join import find_kept_source
from media_agent.jobs.options import BranchOptions, build_budget
from media_agent.ledger.ledger import Ledger
from media_agent.negotiation.possible_lengths import choose_seconds
from media_agent.validation import in_words
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import MediaInput
from media_agent_schemas.plan import Origin, Plan
from media_agent_schemas.request import Shot, VideoRequest

if TYPE_CHECKING:
    from media_agent.jobs.context import JobContext
    from media_agent.routing.planner import Planner


async def plan_branch(
    job_id: str,
    context: "JobContext",
    planner: "Planner",
    options: BranchOptions,
) -> Plan:
    """Return the plan of a branch, as `VideoClient.plan_branch` says.

    Raises:
        MediaAgentError: the video cannot be left there, and why.
    """
    shots = new_shots(options.prompt, options.duration, options.shots)
    store = context.store
    job = store.jobs.get(job_id)
    if job.plan.remade_as is not None:  # that is the video that was delivered
        job = store.jobs.get(job.plan.remade_as)
    capabilities = (await context.open_backend(job.plan)).capabilities(job.plan.model)
    check_branches(capabilities, job)
    work = context.work_folder
    origin, parent = origin_of(store, job, capabilities, options.at, work=work)
    again = describe_replay(store, origin, folder_of(store, parent.id, work))
    source, lost = await find_kept_source(parent, context)
    request = build_request(
        store, parent, origin, shots, capabilities, source=source, endless=options.endless
    ).model_copy(update={"budget": build_budget(options.max_cost_usd)})
    words = options.allow_unknown_words
    plans = await planner.plans(
        request, options.policy, allow_unknown_words=words, caller=options.caller
    )
    warnings = (*plans[0].warnings, *again, *lost, *_left_out(job, origin, options.at))
    return plans[0].model_copy(update={"origin": origin, "warnings": warnings})


def origin_of(
    store: Ledger, job: VideoJob, capabilities: Capabilities, at: int | None, *, work: Path
) -> tuple[Origin, VideoJob]:
    """Return where a branch leaves a video, and the job that made the chunks before it.

    `at` is its first chunk of its own; 0: all are, None: the end. `work` is the folder for all
    work. A last chunk that was cut to the length of the video is no place to continue from: it is
    made again, whole.

    Raises:
        InvalidRequestError: the video has no such chunk.
        JobError: the video has no chunk that a branch could continue from.
        NotResumableError: what it would continue from is gone.
    """
    last = whole_chunks(store, job, capabilities)
    if last == 0 and at != 0:
        raise JobError(
            f"job {job.id} has no complete chunk to continue from",
            hint="media-agent extend FILE continues any video from its frames",
        )
    at = last if at is None else at
    if not 0 <= at <= last:
        raise InvalidRequestError(
            f"job {job.id} cannot branch at chunk {at}: it has {last} complete chunks",
            hint=f"use 0 to {last}",
        )
    job = _find_maker(store, job, at, work)
    kept = count_kept(store, job, at, work)
    origin = Origin(
        job_id=job.id,
        chunk=at,
        frames=_frames_before(store, job, at),
        kept_chunks=kept,
        kept_frames=_frames_before(store, job, kept),
    )
    return origin.model_copy(update={"resume": find_token(store, origin)}), job


def new_shots(
    prompt: str | None, duration: float | None, shots: Sequence[Shot]
) -> tuple[Shot, ...]:
    """Return the shots of a branch, given as a prompt with a length or one by one.

    Raises:
        InvalidRequestError: they are given in both ways or not at all, or are impossible.
    """
    if (prompt is None) == (not shots):
        raise InvalidRequestError(
            "the branch has no prompt" if prompt is None else "both prompt and shots",
            hint="give either a prompt, with a duration, or shots",
        )
    if prompt is None:
        return tuple(shots)
    try:
        return (Shot(prompt=prompt, duration=duration),)
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, Shot)) from None


def build_request(
    store: Ledger,
    job: VideoJob,
    origin: Origin,
    shots: Sequence[Shot],
    capabilities: Capabilities,
    *,
    source: MediaInput | None = None,
    endless: bool = False,
) -> VideoRequest:
    """Return the request of a branch: the shots of the video until there, then the new ones.

    With a `source` the result is joined with it, as the video itself was.
    """
    sent = job.plan.request
    kept = sent_shots(store, job, origin.frames)
    usual = choose_seconds(capabilities, sent.fps)
    new = [
        shot if shot.duration is not None else shot.model_copy(update={"duration": usual})
        for shot in shots
    ]
    if endless:
        new[-1] = shots[-1]
    changes: dict[str, object] = {
        "prompt": None,
        "shots": (*kept, *new),
        "duration": None,
        "num_frames": None,
        "endless": endless,
        "n": 1,
        "model": f"{capabilities.backend}/{capabilities.model}",
        "budget": None,
        "routing": None,
    }
    if origin.chunk:  # else it starts from the same inputs
        inputs = () if source is None else (source,)
        changes |= {"mode": None, "inputs": inputs, "join_source": source is not None}
    try:
        return VideoRequest.model_validate(dict(sent) | changes)
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, VideoRequest)) from None


def _left_out(job: VideoJob, origin: Origin, at: int | None) -> list[str]:
    """Say what of a video its continuation does not contain."""
    said = []
    if job.plan.request.n > 1:
        said.append(f"job {job.id} made {job.plan.request.n} videos; this continues the first")
    cut = job.frames_ready - origin.frames
    if at is None and cut > 0:
        said.append(f"the last {cut} frames are generated again, as they are not a complete chunk")
    return said


def _find_maker(store: Ledger, job: VideoJob, at: int, work: Path) -> VideoJob:
    """Return the job that made the chunk before `at`, or one that has all that it takes from it.

    Raises:
        NotResumableError: the job that made it was removed, and this one has not enough of it.
    """
    while (origin := job.plan.origin) is not None and at <= origin.chunk:
        try:
            job = parent_of(store, origin)
        except NotResumableError:
            if at == origin.chunk and is_whole(store, job, work):
                return job
            raise
    return job


def _frames_before(store: Ledger, job: VideoJob, chunk: int) -> int:
    """Return the frames of the first chunks; those of a branch before its own are its parent's."""
    origin = job.plan.origin
    if origin is not None and chunk < origin.chunk:
        return _frames_before(store, parent_of(store, origin), chunk)
    first, shared = (0, 0) if origin is None else (origin.chunk, origin.frames)
    own = (each.frames for each in chunks_of(store, job) if first <= each.index < chunk)
    return shared + sum(own)
