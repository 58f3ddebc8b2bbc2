"""What a command line asks for, and from which backend: a video, or a branch of one."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from media_agent.backend.options import read_options
from media_agent.cli.arguments import read_frame_size, read_whole_number
from media_agent.cli.request.alternatives import name_alternatives
from media_agent.cli.request.fields import check_fields, collect_fields, collect_words, merge_fields
from media_agent.cli.request.file import read_request_file
from media_agent.cli.request.flags import OutputFlags, RoutingFlags, VideoFlags
from media_agent.client import VideoClient
from media_agent.errors import (
    InvalidRequestError,
    JobNotFoundError,
    UnsupportedRequestError,
)
from media_agent.jobs.continuing.extend import is_place_of_video
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the command line says.

    Of a branch, also which job it leaves and after what chunks; of an extension, what it continues.
    """

    prompt: str | None
    video: VideoFlags
    routing: RoutingFlags
    output: OutputFlags
    idempotency_key: str | None = None
    parent: str | None = None
    shared_chunks: int | None = None
    source: str | None = None
    only_new: bool = False
    detach: bool = False
    """Whether it is only queued."""


async def plan_order(client: VideoClient, order: Order) -> tuple[VideoRequest, tuple[Plan, ...]]:
    """Return the request and the plans to follow, the next only when the one before was refused.

    Raises:
        RequestError: no backend can do it.
    """
    video, routing = order.video, order.routing
    words, policy = video.allow_unknown_words, routing.read_policy()
    if order.parent is not None:
        said = collect_words(order.prompt, video)
        if "shots" in said and "duration" in said:
            raise InvalidRequestError("--duration needs one prompt; each shot has its own length")
        plan = await client.plan_branch(
            _find_job(client, order.parent),
            at=order.shared_chunks,
            **said,
            endless=video.endless,
            policy=policy,
            allow_unknown_words=words,
            max_cost_usd=routing.read_max_cost(),
            idempotency_key=order.idempotency_key,
        )
        return plan.request, (plan,)
    if order.source is not None:
        source = _find_source(client, order.source)
        if routing.backend is None and is_place_of_video(source):
            await _check_default(client)
        model = routing.backend
        if model is None and (routing.option or video.fit):
            model = await client.find_extension_model(source)
        return await client.plan_extension(
            source,
            **collect_words(order.prompt, video),
            seed=read_whole_number("seed", video.seed),
            model=routing.backend,
            size=None if video.size is None else read_frame_size(video.size),
            options=await _read_options(client, video, routing, model),
            only_new=order.only_new,
            policy=policy,
            allow_unknown_words=words,
            max_cost_usd=routing.read_max_cost(),
            idempotency_key=order.idempotency_key,
        )
    request = await build_request(client, order.prompt, video, routing, uses_default=True)
    try:
        return request, await client.plans(request, policy=policy, allow_unknown_words=words)
    except UnsupportedRequestError as error:
        raise await name_alternatives(client, request, error, policy) from error


async def build_request(
    client: VideoClient,
    prompt: str | None,
    video: VideoFlags,
    routing: RoutingFlags,
    *,
    uses_default: bool = False,
) -> VideoRequest:
    """Return the request of a command line, and of its file: the flags override that.

    Raises:
        InvalidRequestError: a value is impossible, or options are given and no backend.
    """
    file = None if video.request is None else read_request_file(video.request)
    told = {} if file is None else file.fields
    given = collect_fields(prompt, video, routing)
    name = given.get("model", told.get("model"))
    if not isinstance(name, str | None):
        return check_fields(merge_fields(told, given), given, file)  # says what is wrong with it
    routing_given = given.get("routing", told.get("routing"))
    if name is None and uses_default and routing_given is None:
        name = await _check_default(client)
    options = await _read_options(client, video, routing, name)
    if options:
        given["options"] = options
    fields = merge_fields(told, given)
    _check_complete(video, fields)
    return check_fields(fields, given, file)


async def _read_options(
    client: VideoClient, video: VideoFlags, routing: RoutingFlags, name: str | None
) -> dict[str, dict[str, JsonValue]]:
    """Return the options of the backend of this name.

    Raises:
        InvalidRequestError: it has no such option, or there are options and no name.
    """
    said = routing.option if video.fit is None else (*routing.option, f"image_fit={video.fit}")
    if not said:
        return {}
    if name is None:
        raise InvalidRequestError(
            f"option {said[0]} belongs to one backend", hint="name it with --model"
        )
    return {name.partition("/")[0]: read_options(said, await client.capabilities(name))}


def _check_complete(video: VideoFlags, fields: Mapping[str, object]) -> None:
    """Refuse flags without what they are about.

    Raises:
        InvalidRequestError: nothing says what to show, or a flag needs an image or a video.
    """
    if not fields.keys() & {"prompt", "shots", "inputs"} and not video.request:
        raise InvalidRequestError(
            "nothing describes the video",
            hint="give a PROMPT, --shot TEXT@SECONDS or --request FILE",
        )
    if video.restyle and not video.video and not video.request:
        raise InvalidRequestError("--restyle needs a video", hint="name it with --video")
    if video.fit is not None and not fields.get("inputs"):
        raise InvalidRequestError(f"--fit {video.fit} needs an image or video", hint="--image")


def _find_source(client: VideoClient, name: str) -> str:
    """Return the video that is meant: a file, an address, or a job."""
    return name if is_place_of_video(name) else _find_job(client, name)


def _find_job(client: VideoClient, name: str) -> str:
    """Return the job that a name means; one that is gone may still have a key that is given."""
    try:
        return client.store.jobs.find(name)
    except JobNotFoundError:
        return name


async def _check_default(client: VideoClient) -> str:
    """Return the default backend.

    Raises:
        InvalidRequestError: it does not exist; the error names the settings.
    """
    try:
        await client.capabilities()
    except InvalidRequestError as error:
        said = f"default_backend in the settings: {error.message}"
        raise InvalidRequestError(said, hint=error.hint) from error
    return client.settings.default_backend
