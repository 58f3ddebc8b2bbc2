"""The commands that only look: backends, jobs, schema."""

import json as json_module
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.screen import shorten, table, tell

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.jobs import JobStore
    from media_agent_schemas.capabilities import Capabilities
    from media_agent_schemas.jobs import VideoJob

Json = Annotated[bool, Parameter(negative=())]


def backends(*, json: Json = False) -> int:
    """List who can make videos, and how far each was checked.

    Args:
        json: Print JSON with everything that is known.
    """
    from media_agent.config import load_settings
    from media_agent.errors import MediaAgentError
    from media_agent.registry import Registry

    settings = load_settings()
    registry = Registry()
    known: list[Capabilities] = []
    problems = [broken.error().message for broken in registry.broken]
    for name in registry.names():
        try:
            backend = registry.create(name, settings.backend_settings(name))
            models = backend.capabilities().models or (None,)
            known += [backend.capabilities(model) for model in models]
        except MediaAgentError as error:
            problems.append(f"{name}: {error.message}")
    if json:
        data: JsonValue = [limits.model_dump(mode="json") for limits in known]
        print(json_module.dumps({"data": data, "problems": problems}, indent=2))
        return 0
    heads = ("BACKEND/MODEL", "SIZE", "FPS", "LONGEST", "WORDS", "CHECKED", "WHAT IT IS")
    table(heads, [_row(limits) for limits in known])
    for limits in known:
        for option in limits.options:
            name = f"{limits.backend}/{limits.model}"
            default = "" if option.default is None else f"={json_module.dumps(option.default)}"
            tell(f"{name} --option {option.name}{default} ({option.type}): {option.description}")
    for problem in problems:
        tell(f"problem: {problem}")
    return 0


def _row(limits: "Capabilities") -> tuple[str, ...]:
    size_range, fps_range = limits.size_range, limits.fps_range
    sizes = ", ".join(str(size) for size in limits.sizes)
    rates = ", ".join(f"{value:g}" for value in limits.fps_values)
    words = limits.closed_vocabulary
    return (
        f"{limits.backend}/{limits.model}",
        sizes or ("any" if size_range is None else f"{size_range.minimum}-{size_range.maximum}"),
        rates or ("any" if fps_range is None else f"{fps_range.minimum:g}-{fps_range.maximum:g}"),
        "endless" if limits.max_duration is None else f"{limits.max_duration:g} s",
        "any" if words is None else f"{len(words)} words",
        str(limits.verification),
        limits.description,
    )


def list_jobs(*, json: Json = False) -> int:
    """List the jobs, newest first.

    Args:
        json: Print JSON: {"data": [job, ...]}.
    """
    store = _store()
    jobs = store.list()
    if json:
        data = [job.model_dump(mode="json") for job in jobs]
        print(json_module.dumps({"data": data}, indent=2))
        return 0
    heads = ("ID", "STATUS", "MADE BY", "SECONDS", "FILM", "PROMPT")
    table(heads, [_job_row(job, store) for job in jobs])
    return 0


def _job_row(job: "VideoJob", store: "JobStore") -> tuple[str, ...]:
    request = job.plan.request
    frames, fps = request.num_frames, request.fps
    seconds = "endless" if frames is None or fps is None else f"{frames / fps:.2f}"
    film = job.artifacts[0].path if job.artifacts else None
    prompts = " / ".join(shot.prompt for shot in job.request.storyboard())
    made_by = f"{job.plan.backend}/{job.plan.model}"
    return job.id, _status(job, store), made_by, seconds, film or "-", shorten(prompts)


def _status(job: "VideoJob", store: "JobStore") -> str:
    if job.status.is_terminal or store.is_held(job.id):
        return job.status
    return f"{job.status} (its process is gone)"


def show_job(job_id: str, /, *, json: Json = False) -> int:
    """Show one job.

    Args:
        job_id: As jobs list shows it.
        json: Print the job as JSON.
    """
    store = _store()
    job = store.get(job_id)
    if json:
        print(job.model_dump_json(indent=2))
        return 0
    tell(f"job       {job.id}")
    tell(f"status    {_status(job, store)}")
    tell(f"made by   {job.plan.backend}/{job.plan.model}")
    for shot in job.plan.request.storyboard():
        length = "" if shot.duration is None else f"{shot.duration:.2f} s  "
        tell(f"shot      {length}{shorten(shot.prompt, 200)}")
    tell(f"ready     {job.frames_ready} frames in {job.chunks_ready} chunks")
    for change in job.plan.adjustments:
        tell(f"adjusted  {change.field}: {change.asked} -> {change.used} ({change.reason})")
    for warning in job.warnings:
        tell(f"warning   {warning}")
    for artifact in job.artifacts:
        tell(f"{artifact.kind:<9} {artifact.path or artifact.uri}")
    if job.record_path is not None:
        tell(f"record    {job.record_path}")
    if job.error is not None:
        tell(f"error     {job.error.code}: {job.error.message}")
    return 0


def _store() -> "JobStore":
    from media_agent.config import load_settings
    from media_agent.jobs import FolderJobStore

    return FolderJobStore(load_settings().backend_settings("").data_dir / "jobs")


def print_schema(name: str, /) -> int:
    """Print the JSON Schema of a type, such as VideoRequest.

    Args:
        name: Name of the type, or of its file.
    """
    from media_agent.errors import InvalidRequestError
    from media_agent.nearest import did_you_mean
    from media_agent_schemas.export import NAMES, file_name, json_schema

    by_any_name = {known.lower(): known for known in NAMES}
    by_any_name |= {file_name(known).removesuffix(".json"): known for known in NAMES}
    known = by_any_name.get(name.lower().removesuffix(".json"))
    if known is None:
        raise InvalidRequestError(f"there is no schema {name!r}", hint=did_you_mean(name, NAMES))
    print(json_module.dumps(json_schema(known), indent=2))
    return 0
