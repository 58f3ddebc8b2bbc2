"""What the simulated servers say of a video, each in the shape of its own program."""

from typing import Literal

from pydantic import JsonValue

from media_agent.testing import SimulatedJob
from media_agent_hosted.providers.openai_compatible.simulated_form import Fields

Stage = Literal["queued", "running", "done"]

NEEDS_4N1 = "num_frames must be 4n+1"
USUAL_SIZE = "832x480"
_SGLANG_SAYS_NULL = (
    *("url", "urls", "remixed_from_video_id", "completed_at", "expires_at", "error", "file_paths"),
    *("num_outputs", "peak_memory_mb", "inference_time_s", "revised_prompt", "action", "lidar"),
)  # until it has something to say there
_VLLM_SAYS_NULL = (
    *("completed_at", "remixed_from_video_id", "error", "expires_at", "file_name", "metrics"),
    *("inference_time_s", "action"),
)


def sglang_video(
    job: SimulatedJob, stage: Stage, failure: str | None, cloud_url: str | None
) -> Fields:
    """Return a video as SGLang-Diffusion describes it."""
    seconds = round(frames_of(job.input) / fps_of(job.input))
    video: Fields = {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": _status(stage, failure),
        "progress": {"queued": 0, "running": 42, "done": 100}[stage],
        "created_at": int(job.created_at),
        "size": job.input.get("size", USUAL_SIZE),
        "seconds": str(seconds),
        "quality": "standard",
        "file_path": f"/srv/out/{job.id}.mp4",
        **dict.fromkeys(_SGLANG_SAYS_NULL),
    }
    if stage == "done" and failure is not None:
        video |= {"error": {"message": failure}, "progress": 42, "file_path": None}
    elif stage == "done":
        path = None if cloud_url is not None else video["file_path"]
        video |= {"url": cloud_url, "urls": [cloud_url], "file_path": path, "file_paths": [path]}
        done_at = int(job.created_at) + 1
        video |= {"completed_at": done_at, "num_outputs": 1, "inference_time_s": 0.9}
    return video


def fastvideo_video(job: SimulatedJob, stage: Stage, failure: str | None) -> Fields:
    """Return a video that is queued until it is over, as nothing says that its work has begun."""
    is_over = stage == "done"
    seconds = round(frames_of(job.input) / fps_of(job.input))
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": _status(stage, failure) if is_over else "queued",
        "progress": 100 if is_over and failure is None else 0,
        "created_at": int(job.created_at),
        "size": job.input.get("size", ""),
        "seconds": str(seconds),
        "quality": "standard",
        "url": None,
        "file_path": f"/srv/out/videos/{job.id}.mp4",
        "completed_at": int(job.created_at) + 1 if is_over and failure is None else None,
        "error": {"message": failure} if is_over and failure is not None else None,
        "peak_memory_mb": None,
        "inference_time_s": 0.9 if is_over and failure is None else None,
    }


def failure_code(failure: str | None) -> int:
    """Return the status of vLLM-Omni's failed polls: 400 for what was asked, else 500."""
    return 400 if failure == NEEDS_4N1 else 500


def vllm_video(job: SimulatedJob, stage: Stage, failure: str | None) -> Fields:
    """Return a video as vLLM-Omni describes it."""
    video: Fields = {
        "model": job.model,
        "prompt": job.input["prompt"],
        "id": job.id,
        "object": "video",
        "status": _status(stage, failure),
        "size": job.input.get("size"),
        "progress": 100 if stage == "done" and failure is None else 0,
        "seconds": job.input.get("seconds", "4"),
        "quality": "default",
        "created_at": int(job.created_at),
        "media_type": "video/mp4",
        "num_frames": frames_of(job.input),
        "fps": fps_of(job.input),
        "duration_s": frames_of(job.input) / fps_of(job.input),
        "stage_durations": {},
        "peak_memory_mb": 0.0,
        **dict.fromkeys(_VLLM_SAYS_NULL),
    }
    if stage == "done":
        video |= {"completed_at": int(job.created_at) + 1}
    if stage == "done" and failure is not None:
        video |= {"error": {"code": failure_code(failure), "message": failure}}
    elif stage == "done":
        video |= {"file_name": f"{job.id}.mp4", "inference_time_s": 0.9}
    return video


def _status(stage: str, failure: str | None) -> str:
    if stage == "done":
        return "completed" if failure is None else "failed"
    return "queued" if stage == "queued" else "in_progress"


def frames_of(fields: Fields) -> int:
    """Return the frames asked, which beat the seconds."""
    seconds = whole_number(fields.get("seconds"), 4)
    return whole_number(fields.get("num_frames"), round(seconds * fps_of(fields)))


def fps_of(fields: Fields) -> float:
    """Return the rate asked."""
    return float(str(fields.get("fps", 24)))


def whole_number(value: JsonValue, otherwise: int) -> int:
    """Return a number of a form."""
    return otherwise if value is None else int(str(value))
