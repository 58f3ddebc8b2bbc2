"""A continuation that is asked for again: its idempotency key stands for the job, not for a plan.

The video that is continued may have grown since, or be gone: a new plan would be another one.
"""

from dataclasses import replace

from media_agent.errors import IdempotencyConflictError, JobNotFoundError
from media_agent.jobs.continuing.branch import new_shots
from media_agent.jobs.continuing.delivered import find_source
from media_agent.jobs.continuing.extend import as_branch, build_request
from media_agent.jobs.options import BranchOptions, ExtendOptions
from media_agent.ledger.ledger import Ledger
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.request import Shot


def find_branch(store: Ledger, job_id: str, options: BranchOptions) -> VideoJob | None:
    """Return the job that this key belongs to, None if it is new.

    Raises:
        IdempotencyConflictError: it is no such branch.
    """
    known = _find(store, options.idempotency_key)
    if known is not None and not _is_branch(store, known, job_id, options):
        raise _conflict(known)
    return known


def find_extension(store: Ledger, video: str, options: ExtendOptions) -> VideoJob | None:
    """Return the job that this key belongs to, None if it is new.

    Raises:
        IdempotencyConflictError: it continues something else, or otherwise.
    """
    known = _find(store, options.idempotency_key)
    if known is None:
        return None
    if known.plan.origin is not None:
        is_same = _is_branch(store, known, video, as_branch(video, options))
    else:
        source = find_source(known.plan, video)
        if source is not None:
            options = replace(options, model=options.model or known.request.model)
        own_id = known.request.inputs[0].own_id if source and known.request.inputs else None
        is_same = known.request == build_request(source or video, options, own_id)
    if not is_same:
        raise _conflict(known)
    return known


def _find(store: Ledger, key: str | None) -> VideoJob | None:
    return None if key is None else store.jobs.of_key(key)


def _is_branch(store: Ledger, known: VideoJob, job_id: str, options: BranchOptions) -> bool:
    """Return whether a job is what these options of a branch ask for, as far as they say it."""
    origin = known.plan.origin
    shots = new_shots(options.prompt, options.duration, options.shots)
    asked = _shots_asked(known)[-len(shots) :]
    return (
        origin is not None
        and options.at in (None, origin.chunk)
        and _begins_as(store, job_id, origin.job_id)
        and len(asked) == len(shots)
        and all(
            one.prompt == other.prompt and one.duration in (None, other.duration)
            for one, other in zip(shots, asked, strict=True)
        )
    )


def _shots_asked(known: VideoJob) -> list[Shot]:
    """Return the shots of a job with the lengths that they were to have."""
    asked = {each.field: each.asked for each in known.plan.adjustments}
    shots = enumerate(known.request.storyboard())
    return [
        shot.model_copy(update={"duration": asked.get(f"shots[{index}].duration", shot.duration)})
        for index, shot in shots
    ]


def _begins_as(store: Ledger, job_id: str, other: str) -> bool:
    """Return whether a job is another one or began as it; of one that was removed nobody knows.

    A file or an address is no job, and so never the same.
    """
    while job_id != other:
        try:
            origin = store.jobs.get(job_id).plan.origin
        except JobNotFoundError:
            return store.jobs.was_removed(job_id)
        if origin is None:
            return False
        job_id = origin.job_id
    return True


def _conflict(known: VideoJob) -> IdempotencyConflictError:
    return IdempotencyConflictError(
        f"this idempotency key belongs to job {known.id}, which is another video",
        hint="repeat it with the same options, or use a new key for a new video",
    )
