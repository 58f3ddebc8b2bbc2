"""Plans and starts videos as an agent asks; the same call again is the same job."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict

from pydantic import JsonValue

from media_agent.backend.options import read_options
from media_agent.client import VideoClient
from media_agent.errors import IdempotencyConflictError, InvalidRequestError
from media_agent.tools.answers.plan_views import MOST_OTHERS, PlanView, view_plan
from media_agent.tools.arguments import CreateVideo, Options, OptionTexts, PlanVideo, VideoWish
from media_agent.tools.consent import Consent
from media_agent.tools.elsewhere import Admit
from media_agent.tools.job_arguments import ExtendVideo
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.plan import Plan, Policy
from media_agent_schemas.request import VideoRequest


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a video."""

    caller: str
    """Whose repeated call means the same job."""
    owner: str | None = None
    """Whose job it becomes at a server; None: of this machine."""
    admit: Admit | None = None
    """Checks the requests of an agent that may be elsewhere; None: it is on this machine."""
    resale_factor: float = 1.0
    """By which the owner pays for it."""

    @asynccontextmanager
    async def admitted(
        self, client: VideoClient, request: VideoRequest, *, is_kept: bool = True
    ) -> AsyncIterator[tuple[str, VideoRequest]]:
        """Give the id of a new job, and the request as it may be followed.

        Raises:
            MediaAgentError: the agent may not ask for it, or what it names cannot be had.
        """
        if self.admit is None:
            yield client.new_job_id(), request
            return
        async with self.admit(request, is_kept=is_kept) as admitted:
            yield admitted


async def plan_video(client: VideoClient, asking: Asking, arguments: PlanVideo) -> PlanView:
    """Return who would make it if the same were created, and who else could."""
    options = await _read_options(client, arguments.options, _find_model(client, arguments))
    request, policy = arguments.to_request(options), arguments.policy
    async with asking.admitted(client, request, is_kept=False) as (_, admitted):
        return await _plan(client, admitted, policy, asking.owner)


async def _plan(
    client: VideoClient, request: VideoRequest, policy: Policy | None, owner: str | None
) -> PlanView:
    report = await client.plan_all(request, policy=policy, best=MOST_OTHERS + 1, caller=owner)
    if request.model is not None or request.routing is not None:
        return view_plan(report)
    capabilities = await client.capabilities()
    default = request.model_copy(update={"model": f"{capabilities.backend}/{capabilities.model}"})
    best = await client.plan_all(default, policy=policy, caller=owner)
    return view_plan(best, others=report.candidates)


async def create_video(
    client: VideoClient, asking: Asking, arguments: CreateVideo, consent: Consent
) -> VideoJob:
    """Start a video; the same call again is the same job.

    Raises:
        ConsentNeededError: a person has to agree to its price first.
    """
    default = client.settings.default_backend
    key = derive_idempotency_key(asking.caller, arguments, default)
    fingerprint = derive_fingerprint(asking.caller, arguments, default)
    known = _find_repeated(client, asking, key, fingerprint)
    if known is not None:
        return await client.adopt(known)
    options = await _read_options(client, arguments.options, _find_model(client, arguments))
    asked, policy = arguments.to_request(options), arguments.policy
    async with asking.admitted(client, asked) as (job_id, request):
        plans = None
        if consent.limit_usd is not None and not client.knows(key):
            plans = consent.check(
                await client.plans(request, policy=policy, caller=asking.owner), key
            )
        return await client.start(
            request,
            plans=plans,
            job_id=job_id,
            policy=policy,
            idempotency_key=key,
            fingerprint=fingerprint,
            caller=asking.owner,
            resale_factor=asking.resale_factor,
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
    fingerprint = derive_fingerprint(asking.caller, arguments, default)
    known = _find_repeated(client, asking, key, fingerprint)
    if known is not None:
        return await client.adopt(known)
    video = arguments.file or arguments.job_id or ""
    model = arguments.model
    if model is None and arguments.options:
        model = await client.find_extension_model(video)
    options = await _read_options(client, arguments.options, model)
    async with asking.admitted(client, _name_source(arguments, options)) as (job_id, admitted):
        place = admitted.inputs[0].path if admitted.inputs else None
        request, plans = await _plan_extension(
            client, asking, arguments, place or video, key, options
        )
        if not client.knows(key):
            plans = consent.check(plans, key)
        return await client.start(
            request,
            plans=plans,
            job_id=job_id,
            policy=arguments.policy,
            idempotency_key=key,
            fingerprint=fingerprint,
            caller=asking.owner,
            resale_factor=asking.resale_factor,
        )


def _name_source(arguments: ExtendVideo, options: Options) -> VideoRequest:
    """Return a request with all that a continuation names: what admits it needs no more."""
    source = InputRole.SOURCE_VIDEO
    places = () if arguments.file is None else (MediaInput.from_place(source, arguments.file),)
    return VideoRequest(
        prompt=arguments.prompt, model=arguments.model, options=options, inputs=places
    )


async def _plan_extension(
    client: VideoClient,
    asking: Asking,
    arguments: ExtendVideo,
    video: str,
    key: str,
    options: Options,
) -> tuple[VideoRequest, tuple[Plan, ...]]:
    common: _Continued = {
        "prompt": arguments.prompt,
        "duration": arguments.duration,
        "policy": arguments.policy,
        "max_cost_usd": arguments.max_cost_usd,
        "idempotency_key": key,
        "caller": asking.owner,
    }
    if arguments.keep_chunks is not None:
        plan = await client.plan_branch(video, at=arguments.keep_chunks, **common)
        return plan.request, (plan,)
    request, plans = await client.plan_extension(
        video,
        model=arguments.model,
        size=arguments.read_size(),
        seed=arguments.seed,
        only_new=bool(arguments.only_new),
        options=options,
        **common,
    )
    return request, tuple(plans)


def _find_repeated(client: VideoClient, asking: Asking, key: str, fingerprint: str) -> str | None:
    """Return the job of a key that an agent elsewhere gives again, None if it is new.

    What its request named by addresses was brought into files, so that says nothing any more; an
    agent of this machine has its request compared.

    Raises:
        IdempotencyConflictError: the key was used for another video.
    """
    known = client.store.jobs.of_key(key) if asking.admit is not None else None
    if known is None:
        return None
    if client.store.jobs.terms(known.id).fingerprint != fingerprint:
        raise IdempotencyConflictError(
            f"this idempotency key belongs to job {known.id}, which is another video",
            hint="repeat it with the same arguments, or use a new key for a new video",
        )
    return known.id


def derive_idempotency_key(
    caller: str, arguments: CreateVideo | ExtendVideo, default: str | None = None
) -> str:
    """Return the key that equal requests of one caller share, however they were written.

    The backend is a part of the request, also where only the settings name it: `default`.
    """
    if arguments.idempotency_key is None:
        return derive_fingerprint(caller, arguments, default)
    return _digest(caller, {"idempotency_key": arguments.idempotency_key})


def derive_fingerprint(
    caller: str, arguments: CreateVideo | ExtendVideo, default: str | None = None
) -> str:
    """Return what calls of one caller share whose fields are the same, except for their key."""
    left_out = {"wait_seconds", "idempotency_key"}
    fields = arguments.model_dump(mode="json", exclude_none=True, exclude=left_out)
    if default is not None and "route" not in fields:
        fields.setdefault("model", default)
    return _digest(caller, fields)


def _digest(caller: str, fields: Mapping[str, JsonValue]) -> str:
    text = json.dumps([caller, fields], sort_keys=True, separators=(",", ":"))
    return f"tool-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


class _Continued(TypedDict):
    """What continuations of jobs and of files have in common."""

    prompt: str
    duration: float | None
    policy: Policy | None
    max_cost_usd: float | None
    idempotency_key: str
    caller: str | None


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
