"""Plans and starts videos as an agent asks; the same call again is the same job."""

import hashlib
import json
from dataclasses import dataclass
from typing import TypedDict

from media_agent.backend.options import read_options
from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError
from media_agent.tools.answers.plan_views import MOST_OTHERS, PlanView, view_plan
from media_agent.tools.arguments import CreateVideo, Options, OptionTexts, PlanVideo, VideoWish
from media_agent.tools.consent import Consent
from media_agent.tools.job_arguments import ExtendVideo
from media_agent_schemas.capabilities import Plan, Policy
from media_agent_schemas.jobs import VideoJob


async def plan_video(client: VideoClient, arguments: PlanVideo) -> PlanView:
    """Return who would make it if the same were created, and who else could."""
    options = await _read_options(client, arguments.options, _find_model(client, arguments))
    request, policy = arguments.to_request(options), arguments.policy
    report = await client.plan_all(request, policy=policy, best=MOST_OTHERS + 1)
    if request.model is not None or request.routing is not None:
        return view_plan(report)
    capabilities = await client.capabilities()
    default = request.model_copy(update={"model": f"{capabilities.backend}/{capabilities.model}"})
    best = await client.plan_all(default, policy=policy)
    return view_plan(best, others=report.candidates)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a video."""

    caller: str
    """Whose repeated call means the same job."""
    owner: str | None = None
    """Whose job it becomes at a server; None: of this machine."""


async def create_video(
    client: VideoClient, asking: Asking, arguments: CreateVideo, consent: Consent
) -> VideoJob:
    """Start a video; the same call again is the same job.

    Raises:
        ConsentNeededError: a person has to agree to its price first.
    """
    default = client.settings.default_backend
    key = derive_idempotency_key(asking.caller, arguments, default)
    options = await _read_options(client, arguments.options, _find_model(client, arguments))
    request, policy = arguments.to_request(options), arguments.policy
    plans = None
    if consent.limit_usd is not None and not client.knows(key):
        plans = consent.check(await client.plans(request, policy=policy), key)
    return await client.start(
        request, plans=plans, policy=policy, idempotency_key=key, caller=asking.owner
    )


async def extend_video(
    client: VideoClient, asking: Asking, arguments: ExtendVideo, consent: Consent
) -> VideoJob:
    """Start a video that continues another one; the same call again is the same job.

    Raises:
        ConsentNeededError: a person has to agree to its price first.
    """
    default = None if arguments.file is None else client.settings.default_backend
    key = derive_idempotency_key(asking.caller, arguments, default)
    common: _Continued = {
        "prompt": arguments.prompt,
        "duration": arguments.duration,
        "policy": arguments.policy,
        "max_cost_usd": arguments.max_cost_usd,
        "idempotency_key": key,
    }
    video = arguments.file or arguments.job_id or ""
    if arguments.keep_chunks is not None:
        plan = await client.plan_branch(video, at=arguments.keep_chunks, **common)
        request = plan.request
        plans: tuple[Plan, ...] = (plan,)
    else:
        model = arguments.model
        if model is None and arguments.options:
            model = await client.find_extension_model(video)
        request, plans = await client.plan_extension(
            video,
            model=arguments.model,
            size=arguments.read_size(),
            seed=arguments.seed,
            only_new=bool(arguments.only_new),
            options=await _read_options(client, arguments.options, model),
            **common,
        )
    if not client.knows(key):
        plans = consent.check(plans, key)
    return await client.start(
        request,
        plans=plans,
        policy=arguments.policy,
        idempotency_key=key,
        caller=asking.owner,
    )


def derive_idempotency_key(
    caller: str, arguments: CreateVideo | ExtendVideo, default: str | None = None
) -> str:
    """Return the key that equal requests of one caller share, however they were written.

    The backend is a part of the request, also where only the settings name it: `default`.
    """
    fields = arguments.model_dump(mode="json", exclude_none=True, exclude={"wait_seconds"})
    if arguments.idempotency_key is not None:
        fields = {"idempotency_key": arguments.idempotency_key}
    elif default is not None and "route" not in fields:
        fields.setdefault("model", default)
    text = json.dumps([caller, fields], sort_keys=True, separators=(",", ":"))
    return f"tool-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


class _Continued(TypedDict):
    """What continuations of jobs and of files have in common."""

    prompt: str
    duration: float | None
    policy: Policy | None
    max_cost_usd: float | None
    idempotency_key: str


def _find_model(client: VideoClient, arguments: VideoWish) -> str | None:
    """Return the model that makes a video; None: a route chooses it."""
    if arguments.model is None and arguments.route is None:
        return client.settings.default_backend
    return arguments.model


async def _read_options(client: VideoClient, texts: OptionTexts, model: str | None) -> Options:
    """Return the options for a model, as it declares them.

    Raises:
        InvalidRequestError: one is not NAME=VALUE, or no model is named.
    """
    if not texts:
        return {}
    if model is None:
        raise InvalidRequestError("options belong to one model", hint="name it with --model")
    known = await client.capabilities(model)
    return {model.partition("/")[0]: read_options(texts, known)}
