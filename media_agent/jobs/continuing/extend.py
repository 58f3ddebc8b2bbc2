"""A video that is continued: a job from its state, as a branch at its end; any other by a model."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from media_agent.environment import expand_home
from media_agent.errors import InvalidRequestError, JobNotFoundError
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.branch import plan_branch
from media_agent.jobs.continuing.delivered import find_delivered
from media_agent.jobs.options import BranchOptions, ExtendOptions, build_budget
from media_agent.ledger.ledger import Ledger
from media_agent.routing.planner import Planner
from media_agent.validation import in_words
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest


async def plan_extension(
    video: Path | str, context: JobContext, planner: Planner, options: ExtendOptions
) -> tuple[VideoRequest, tuple[Plan, ...]]:
    """Return the request that continues a video and its plans, as `VideoClient` says.

    Raises:
        MediaAgentError: it cannot be continued, and why.
    """
    delivered, job_id = None, find_job(video, context.store)
    if job_id is not None:
        delivered = await find_delivered(job_id, context)
        if delivered is None:
            plan = await plan_branch(job_id, context, planner, as_branch(job_id, options))
            return plan.request, (plan,)
        video, options = delivered.path, replace(options, model=options.model or delivered.model)
    check_place(video)
    own_id = None if delivered is None else delivered.own_id_for(options.model)
    request, words = build_request(video, options, own_id), options.allow_unknown_words
    plans = await planner.plans(
        request, options.policy, allow_unknown_words=words, caller=options.caller
    )
    said = await asyncio.to_thread(foresee_join, request)
    plans = tuple(each.model_copy(update={"warnings": (*each.warnings, *said)}) for each in plans)
    return request, plans if delivered is None else tuple(map(delivered.note_in, plans))


async def find_model(video: Path | str, context: JobContext) -> str | None:
    """Return the model that continues a video unless another is named; None: the default."""
    job_id = find_job(video, context.store)
    if job_id is None:
        return None
    delivered = await find_delivered(job_id, context)
    if delivered is not None:
        return delivered.model
    plan = context.store.jobs.get(job_id).plan
    return f"{plan.backend}/{plan.model}"


def find_job(video: Path | str, store: Ledger) -> str | None:
    """Return the id of the job that is meant, None where it is a file or an address."""
    try:
        return store.jobs.get(video).id if isinstance(video, str) else None
    except JobNotFoundError:
        return None


def is_place_of_video(place: str) -> bool:
    """Return whether this is an address, or a file that exists; a name may be impossible."""
    if place.startswith(("http://", "https://")):
        return True
    return os.path.exists(expand_home(place))  # noqa: PTH110  # Path.exists() raises for such names


def as_branch(job_id: str, options: ExtendOptions) -> BranchOptions:
    """Return the continuation of a job as the branch at its end that it is.

    Raises:
        InvalidRequestError: it is given what only the continuation of a file can have.
    """
    given = {
        "model": options.model,
        "seed": options.seed,
        "size": options.size,
        "options": options.options or None,
        "only_new": options.only_new or None,
    }
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise InvalidRequestError(
            f"job {job_id} is continued as a whole, with its own model, size, options and seed",
            hint=f"leave out {' and '.join(names)}, or give its file instead of the job",
        )
    return BranchOptions(
        prompt=options.prompt,
        duration=options.duration,
        shots=options.shots,
        policy=options.policy,
        allow_unknown_words=options.allow_unknown_words,
        caller=options.caller,
        max_cost_usd=options.max_cost_usd,
        idempotency_key=options.idempotency_key,
    )


def foresee_join(request: VideoRequest) -> list[str]:
    """Say what may keep the source of a request from being joined; one elsewhere is not read.

    Raises:
        InvalidRequestError: it cannot be read.
    """
    from media_agent.ingest.extend import find_obstacles

    (source,) = request.inputs
    return find_obstacles(source) if request.join_source and source.path is not None else []


def check_place(video: Path | str) -> None:
    """Refuse what is no address and no file.

    Raises:
        InvalidRequestError: there is neither such a job nor such a file.
    """
    if not is_place_of_video(str(video)):
        raise InvalidRequestError(
            f"{video} is neither a job nor a file", hint="media-agent jobs list shows the jobs"
        )


def build_request(
    video: Path | str, options: ExtendOptions, own_id: str | None = None
) -> VideoRequest:
    """Return the request to continue a file or an address, which its maker may know by an id.

    Raises:
        InvalidRequestError: a value is impossible.
    """
    source = MediaInput.from_place(InputRole.SOURCE_VIDEO, str(video))
    try:
        return VideoRequest(
            prompt=options.prompt,
            shots=tuple(options.shots),
            duration=options.duration,
            seed=options.seed,
            model=options.model,
            size=options.size,
            options={name: dict(own) for name, own in options.options.items()},
            inputs=(source.model_copy(update={"own_id": own_id}),),
            join_source=not options.only_new,
            budget=build_budget(options.max_cost_usd),
        )
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, VideoRequest)) from None
