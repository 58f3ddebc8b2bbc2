"""From the fields of a call to a job: understood, its inputs brought here, started once."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError, MediaAgentError
from media_agent.server.access.caller import Caller
from media_agent.server.context import ServerContext
from media_agent.server.jobs.new_jobs import new_folder, start_job
from media_agent.server.jobs.repeats import NewJobCall, read_call
from media_agent.server.openai.body import Fields, Value, list_uploads
from media_agent.server.openai.create_fields import (
    INPUT_FIELDS,
    NewVideo,
    OwnFields,
    build_request,
    parse_video,
    refuse_unknown,
)
from media_agent.server.openai.inputs.check import InputFile, check_inputs
from media_agent.server.openai.inputs.references import Reference, bring, list_references
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import InputRole
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

OPENAI_MODELS = "sora"
"""How the names of OpenAI's models begin."""
_WRAPPERS = ("extra_body", "extra_params")
"""Objects whose fields clients mean as fields of the call."""


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """A call for a new video, understood."""

    video: NewVideo
    own: dict[str, Any]
    references: list[Reference]
    options: dict[str, dict[str, JsonValue]] = field(default_factory=dict)

    async def identify(self) -> dict[str, Any]:
        """Return what two calls have in common if one repeats the other."""
        return {
            "video": self.video.model_dump(mode="json", exclude_none=True),
            "media_agent": self.own,
            "options": self.options,
            "inputs": [await each.identify() for each in self.references],
        }


async def create_video(
    server: ServerContext, caller: Caller, fields: Fields, headers: Mapping[str, str]
) -> VideoJob:
    """Return the job that a call is for: a new one, or the one that the call repeats.

    Raises:
        MediaAgentError: it cannot be made; nothing was begun.
    """
    parsed = await parse_call(server, fields)
    call = read_call(caller.name, "create", await parsed.identify(), headers)

    async def make() -> VideoJob:
        async with new_folder(server.host.client) as (job_id, folder):
            inputs = await bring_inputs(server, caller, parsed, folder)
            request, own = build_request(
                parsed.video, parsed.own, inputs=inputs, options=parsed.options
            )
            return await start(server, caller, request, own, job_id, call)

    job, _ = await server.repeats.once(server.host, call, make)
    return job


async def parse_call(server: ServerContext, fields: Fields) -> ParsedCall:
    """Return what a call asks for.

    Raises:
        InvalidRequestError: a field is unknown, impossible, or given twice.
    """
    given = _unwrap(fields)
    own = _read_own(given.pop("media_agent", None))
    references = [
        each for name in INPUT_FIELDS for each in list_references(name, given.pop(name, None))
    ]
    references += list_references("media_agent.inputs", own.pop("inputs", None))
    unknown = {name: given.pop(name) for name in [*given] if name not in NewVideo.model_fields}
    stray = list_uploads(given)
    if stray:
        raise InvalidRequestError("a file stands in a field that takes none")
    video = parse_video(given)
    video = video.model_copy(update={"model": choose_model(server, video.model)})
    options = await _read_options(server, video.model, unknown)
    return ParsedCall(video, own, references, options)


def choose_model(server: ServerContext, name: str | None) -> str | None:
    """Return the model that a name of a client means; None: the default.

    Raises:
        InvalidRequestError: it is one of OpenAI's, and the settings map it to none.
    """
    known = server.settings.server.models
    if name is None or name in known:
        return None if name is None else known[name]
    if name.startswith(OPENAI_MODELS):
        default = server.settings.default_backend
        raise InvalidRequestError(
            f"unknown model {name!r:.100}: OpenAI closed it, and this server maps it to no other",
            hint=f"leave model out ({default} makes the video then), or choose one of GET "
            f'/v1/models; [server] models = {{"{name:.40}" = "{default}"}} in media-agent.toml '
            "lets this name work",
        )
    return name


async def bring_inputs(
    server: ServerContext, caller: Caller, parsed: ParsedCall, folder: Path
) -> list[dict[str, Any]]:
    """Bring the inputs of a call here; return each as an input of a request."""
    if not parsed.references:
        return []
    paths = await bring(server, caller, parsed.references, folder)
    roles = await _choose_roles(server, parsed)
    known = [
        InputFile(path, each.field, role, each.at)
        for path, each, role in zip(paths, parsed.references, roles, strict=True)
    ]
    await asyncio.to_thread(check_inputs, known)
    return [each.to_field() for each in known]


async def start(
    server: ServerContext,
    caller: Caller,
    request: VideoRequest,
    own: OwnFields,
    job_id: str,
    call: NewJobCall,
    plans: Sequence[Plan] | None = None,
) -> VideoJob:
    """Begin a job of a caller, as `start_job` does."""
    return await start_job(
        server,
        caller,
        request,
        plans=plans,
        job_id=job_id,
        policy=own.policy,
        label=own.label,
        allow_unknown_words=own.allow_unknown_words,
        idempotency_key=call.key,
        fingerprint=call.fingerprint,
    )


def _unwrap(fields: Fields) -> Fields:
    """Return the fields with those that stand in wrappers beside them."""
    given = dict(fields)
    for name in _WRAPPERS:
        inner = given.pop(name, None)
        if inner is None or inner == "":
            continue
        if not isinstance(inner, dict):
            raise InvalidRequestError(f"{name} is not an object")
        for each, value in inner.items():
            if each in given and given[each] != value:
                raise InvalidRequestError(f"{each:.100} is given twice, with different values")
            given[each] = value
    return given


def _read_own(value: Value) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise InvalidRequestError(
            "media_agent is not an object", hint='such as {"policy": "strict"}'
        )
    return dict(value)


async def _read_options(
    server: ServerContext, model: str | None, unknown: Fields
) -> dict[str, dict[str, JsonValue]]:
    """Return the fields that only the model knows, as options of its backend.

    Raises:
        InvalidRequestError: it does not know one either.
    """
    if not unknown:
        return {}
    capabilities = await _find_capabilities(server, model)
    known = () if capabilities is None else tuple(each.name for each in capabilities.options)
    for name in unknown:
        if name not in known:
            names = {*NewVideo.model_fields, *INPUT_FIELDS, *known, "media_agent"}
            raise refuse_unknown(name, names)
    assert capabilities is not None
    kinds = {each.name: each.type for each in capabilities.options}
    options = {name: _as_option(value, kinds[name]) for name, value in unknown.items()}
    return {capabilities.backend: options}


def _as_option(value: Any, kind: str) -> JsonValue:
    """Return the value of an option, which is text in a form, as it is meant."""
    if not isinstance(value, str) or kind == "string":
        plain: JsonValue = value
        return plain
    readers: dict[str, Callable[[str], JsonValue]] = {"integer": int, "number": float}
    if kind == "boolean":
        return value.lower() == "true" if value.lower() in ("true", "false") else value
    with contextlib.suppress(ValueError):
        return readers[kind](value)
    return value


async def _find_capabilities(server: ServerContext, model: str | None) -> Capabilities | None:
    async def look(client: VideoClient) -> Capabilities:
        return await client.capabilities(model)

    try:
        return await server.host.call(look)
    except MediaAgentError:  # the planner says it better, or it is a model of several backends
        return None


async def _choose_roles(server: ServerContext, parsed: ParsedCall) -> Sequence[InputRole]:
    """Return what each input is for: one image is the first frame, several are subjects."""
    open_roles = [each for each in parsed.references if each.role is None]
    usual = InputRole.FIRST_FRAME if len(open_roles) == 1 else InputRole.SUBJECT
    if len(open_roles) == 1:
        capabilities = await _find_capabilities(server, parsed.video.model)
        takes = () if capabilities is None else capabilities.input_roles
        if InputRole.FIRST_FRAME not in takes and InputRole.SUBJECT in takes:
            usual = InputRole.SUBJECT
    return [each.role or usual for each in parsed.references]
