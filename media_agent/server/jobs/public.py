"""What a caller sees of jobs: files as addresses, and never a path of this machine from elsewhere.

The only place that decides it; every surface of the server answers with its views.
"""

from typing import Any

from pydantic import BaseModel, Field

from media_agent.server.access.caller import Caller
from media_agent.server.wording import info_to_http
from media_agent.wording import hide_paths
from media_agent_schemas.base import Schema
from media_agent_schemas.events import JobEvent
from media_agent_schemas.jobs import JobSummary, VideoJob

_BYTES: dict[str, Any] = {"inputs": {"__all__": {"data"}}}  # whoever sent them has them
_NOT_TOLD: dict[str, Any] = {"request": _BYTES, "plan": {"request": _BYTES}}
_OWN_WORDS = frozenset({"prompt", "negative_prompt", "prompts_sent", "prompt_asked", "title"})
_PATHS = frozenset({"path", "record_path"})


class JobLinks(Schema):
    """Where there is more of a job, as paths of this server."""

    events: str = Field(description="Its events, as they come (SSE).")
    content: str | None = Field(
        description="The video, also while it grows; null: nothing of it is there yet."
    )
    live: str | None = Field(description="The same as HLS, for players; null: nothing yet.")
    record: str | None = Field(description="Its generation record; null: not written yet.")


class ServedJob(VideoJob):
    """A job, and where there is more of it."""

    links: JobLinks = Field(description="Where there is more of it.")


class ServedSummary(JobSummary):
    """A job as a list shows it, and where its video is."""

    uri: str | None = Field(description="The video, or what there is of it, on this server.")


def content_uri(job_id: str) -> str:
    """Return where the video of a job is."""
    return f"/v1/videos/{job_id}/content"


def view_job(job: VideoJob, caller: Caller) -> dict[str, Any]:
    """Return a `ServedJob` as JSON."""
    if job.error is not None:
        job = job.model_copy(update={"error": info_to_http(job.error)})
    shown = job.model_dump(mode="json", exclude=_NOT_TOLD)
    has_video = bool(job.artifacts) or job.chunks_ready > 0
    here = f"/v1/jobs/{job.id}"
    links = JobLinks(
        events=f"{here}/events",
        content=content_uri(job.id) if has_video else None,
        live=f"{here}/live/index.m3u8" if has_video else None,
        record=None if job.record_path is None else f"{here}/record",
    )
    return _adapt(shown, job.id, caller) | {"links": links.model_dump()}


def view_summary(job: JobSummary, caller: Caller) -> dict[str, Any]:
    """Return a `ServedSummary` as JSON."""
    shown = _adapt(job.model_dump(mode="json"), job.id, caller)
    return shown | {"uri": None if job.path is None else content_uri(job.id)}


def view_event(event: JobEvent, caller: Caller) -> dict[str, Any]:
    """Return an event as JSON; what only this machine resumes from is left out."""
    shown = event.model_dump(mode="json", exclude={"event": {"resume"}})
    return _adapt(shown, event.job_id, caller)


def view(document: BaseModel, job_id: str, caller: Caller) -> dict[str, Any]:
    """Return any other document about a job as JSON."""
    return _adapt(document.model_dump(mode="json"), job_id, caller)


def _adapt(shown: dict[str, Any], job_id: str, caller: Caller) -> dict[str, Any]:
    for holder in (shown, shown.get("event")):
        for number, artifact in enumerate((holder or {}).get("artifacts") or ()):
            artifact["uri"] = _uri_of(artifact, number, job_id)
            artifact["expires_at"] = None
    return {key: _hide(key, value) for key, value in shown.items()} if caller.is_remote else shown


def _uri_of(artifact: dict[str, Any], number: int, job_id: str) -> str | None:
    if artifact["path"] is None:
        return str(artifact["uri"])  # still at its provider
    return content_uri(job_id) if number == 0 else f"/v1/jobs/{job_id}/files/{number}"


def _hide(key: str, value: Any) -> Any:
    """Return a value of a document without paths."""
    if key in _PATHS or value is None:
        return None
    if key in _OWN_WORDS:
        return value
    if isinstance(value, str):
        return hide_paths(value)
    if isinstance(value, list):
        return [_hide(key, each) for each in value]
    if isinstance(value, dict):
        if key == "ref":
            value = value | {"data": {}}  # for the backend alone
        return {name: _hide(name, each) for name, each in value.items()}
    return value
