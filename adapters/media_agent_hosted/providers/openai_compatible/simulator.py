"""A server with OpenAI's video API on this machine, without a model.

It speaks the shapes of SGLang-Diffusion 0.5.23, vLLM-Omni 0.30.0 and FastVideo 0.2.1, with their
differences.
"""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError
from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.providers.openai_compatible.simulated_form import (
    Fields,
    fastvideo_fault,
    form_fields,
    sglang_fault,
    vllm_error,
    vllm_fault,
)

Flavour = Literal["sglang", "vllm-omni", "fastvideo"]

WAN = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"
_SIZE = "832x480"
_SGLANG_SAYS_NULL = (
    *("url", "urls", "remixed_from_video_id", "completed_at", "expires_at", "error", "file_paths"),
    *("num_outputs", "peak_memory_mb", "inference_time_s", "revised_prompt", "action", "lidar"),
)  # until it has something to say there
_VLLM_SAYS_NULL = (
    *("completed_at", "remixed_from_video_id", "error", "expires_at", "file_name", "metrics"),
    *("inference_time_s", "action"),
)
_NEEDS_4N1 = "num_frames must be 4n+1"
_NO_CONTENT_OF_A_FAILURE: Mapping[Flavour, tuple[int, str]] = {
    "sglang": (404, "Video variant None not found"),
    "vllm-omni": (422, "Video generation failed. Check job status for error details."),
    "fastvideo": (500, "Video generation failed"),
}
_ID = r"/v1/videos/(?P<id>[^/]+)"


class OpenAISimulator(Simulator):
    """Takes videos in a form, pretends to make them, and gives real MP4 files.

    `key` is asked of every call when given, `fails_with` lets every video fail with these words,
    `cloud_url` keeps videos elsewhere, as SGLang's upload does. A Wan model of vLLM-Omni lets
    videos fail whose frames are not 4n+1.
    """

    name = "openai-compatible"

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        flavour: Flavour = "sglang",
        model: str = WAN,
        key: str | None = None,
        fails_with: str | None = None,
        cloud_url: str | None = None,
        queued_polls: int = 1,
        running_polls: int = 2,
        port: int = 0,
    ) -> None:
        """Say which server it is, what it serves, and what goes wrong."""
        if flavour not in get_args(Flavour):
            raise InvalidRequestError(
                f"there is no flavour {flavour!r}", hint=f"there is {', '.join(get_args(Flavour))}"
            )
        self.gives_files = cloud_url is not None  # else a video is the content of its video
        super().__init__(faults, queued_polls=queued_polls, running_polls=running_polls, port=port)
        self.flavour: Flavour = flavour
        self.model = model
        self.fails_with = fails_with
        self.cloud_url = cloud_url
        self._key = key
        self._forgotten: set[str] = set()

    def routes(self) -> Sequence[Route]:
        """Return the calls of the API."""
        return (
            Route("POST", "/v1/videos", "submit", self._create),
            Route("GET", "/v1/videos", "list", self._list),
            Route("GET", f"{_ID}/content", "content", self._content),
            Route("GET", _ID, "status", self._status),
            Route("DELETE", _ID, "cancel", self._delete),
            Route("GET", "/v1/models", "models", self._models),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Return 401 for a wrong key, where one is asked for."""
        if self._key is None or call.headers.get("authorization") == f"Bearer {self._key}":
            return None
        return Answer(401, {"error": "Unauthorized"})

    def not_found(self, call: Call) -> Answer:
        """Return the answer to an unknown path."""
        return self._no(404, "Not Found")

    def error_body(self, text: str) -> JsonValue:
        """Return an error as this server writes it."""
        return vllm_error(500, text) if self.flavour == "vllm-omni" else {"detail": text}

    def video(self, job: SimulatedJob) -> Video:
        """Return the measures that were asked for."""
        width, height = (int(side) for side in str(job.input.get("size", _SIZE)).split("x"))
        shade = 40 + _whole(job.input.get("seed"), 0) % 120
        return Video(_frames(job.input), _fps(job.input), width, height, shade)

    def resource(self, job: SimulatedJob) -> Fields:
        """Return a video as the server describes it now."""
        match self.flavour:
            case "sglang":
                return _sglang_video(self, job)
            case "vllm-omni":
                return _vllm_video(self, job)
            case "fastvideo":
                return _fastvideo_video(self, job)

    def failure(self, job: SimulatedJob) -> str | None:
        """Return why a video fails, None if it does not."""
        needs_4n1 = self.flavour == "vllm-omni" and "wan" in self.model.lower()
        if self.fails_with is None and needs_4n1 and _frames(job.input) % 4 != 1:
            return _NEEDS_4N1
        return self.fails_with

    def accept(self, model: str, body: Fields, key: str | None = None) -> SimulatedJob:
        """Take a video on, under an id as this server gives them."""
        unique = uuid.uuid4()
        ids = {"sglang": str(unique), "vllm-omni": f"video_gen_{unique.hex}"}
        job_id = ids.get(self.flavour, unique.hex)
        job = SimulatedJob(job_id, model, body, key, time.time())
        self.jobs[job.id] = job
        return job

    def _create(self, call: Call) -> Answer:
        fields = form_fields(call, takes_json=self.flavour != "vllm-omni")
        fault = self._fault(fields)
        if fault is not None:
            return fault
        model = str(fields.get("model", self.model))
        return Answer(200, self.resource(self.accept(model, fields)))

    def _fault(self, fields: Fields) -> Answer | None:
        match self.flavour:
            case "sglang":
                return sglang_fault(fields)
            case "vllm-omni":
                return vllm_fault(fields, self.model)
            case "fastvideo":
                return fastvideo_fault(fields)

    def _status(self, call: Call) -> Answer:
        job = self._known(call)
        if job is None:
            return self._no(404, "Video not found")
        self.poll(job)
        body = self.resource(job)
        if self.flavour == "vllm-omni" and body["status"] == "failed":
            return Answer(_failure_code(self.failure(job)), body)
        return Answer(200, body)

    def _list(self, call: Call) -> Answer:
        jobs = [job for job in self.jobs.values() if job.id not in self._forgotten]
        jobs.sort(key=lambda job: job.created_at, reverse=call.query.get("order") != "asc")
        after, ids = call.query.get("after"), [job.id for job in jobs]
        if after is not None:
            jobs = jobs[ids.index(after) + 1 :] if after in ids else []
        limit = int(call.query.get("limit", 20))
        page: list[JsonValue] = [{**self.resource(job)} for job in jobs[:limit]]
        shown = [job.id for job in jobs[:limit]]
        if self.flavour == "fastvideo":
            return Answer(200, {"object": "list", "data": page})
        ends: Fields = {
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }
        return Answer(200, {"object": "list", "data": page, **ends, "has_more": len(jobs) > limit})

    def _content(self, call: Call) -> Answer:
        job = self._known(call)
        variant = call.query.get("variant", "0")
        if job is None or (self.flavour == "sglang" and variant != "0"):
            return self._no(404, "Video not found")
        if self.stage(job) != "done":
            is_fastvideo = self.flavour == "fastvideo"
            said = (
                "Video still being generated" if is_fastvideo else "Generation is still in-progress"
            )
            return self._no(404, said)
        if self.failure(job) is not None:
            return self._no(*_NO_CONTENT_OF_A_FAILURE[self.flavour])
        if self.cloud_url is not None:
            said = "Video has been uploaded to cloud storage. Please use the cloud URL: "
            return self._no(400, said + self.cloud_url)
        return Answer(200, make_video(self.video(job)), media_type="video/mp4")

    def _delete(self, call: Call) -> Answer:
        job = self._known(call)
        if job is None:
            return self._no(404, "Video not found")
        self._forgotten.add(job.id)
        if self.flavour != "vllm-omni":  # which work on
            return Answer(200, {**self.resource(job), "status": "deleted"})
        job.is_cancelled = True
        return Answer(200, {"id": job.id, "deleted": True, "object": "video.deleted"})

    def _models(self, call: Call) -> Answer:
        entry: Fields = {"id": self.model, "object": "model", "owned_by": self.flavour}
        return Answer(200, {"object": "list", "data": [entry]})

    def _no(self, status: int, said: str) -> Answer:
        """Return an error as FastAPI writes it, or vLLM's application."""
        if self.flavour == "vllm-omni":
            return Answer(status, vllm_error(status, said))
        return Answer(status, {"detail": said})

    def _known(self, call: Call) -> SimulatedJob | None:
        job = self.jobs.get(call.arguments["id"])
        return None if job is None or job.id in self._forgotten else job


def _sglang_video(simulator: OpenAISimulator, job: SimulatedJob) -> Fields:
    stage, failure = simulator.stage(job), simulator.failure(job)
    seconds = round(_frames(job.input) / _fps(job.input))
    video: Fields = {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": _status(stage, failure),
        "progress": {"queued": 0, "running": 42, "done": 100}[stage],
        "created_at": int(job.created_at),
        "size": job.input.get("size", _SIZE),
        "seconds": str(seconds),
        "quality": "standard",
        "file_path": f"/srv/out/{job.id}.mp4",
        **dict.fromkeys(_SGLANG_SAYS_NULL),
    }
    if stage == "done" and failure is not None:
        video |= {"error": {"message": failure}, "progress": 42, "file_path": None}
    elif stage == "done":
        cloud = simulator.cloud_url
        path = None if cloud is not None else video["file_path"]
        video |= {"url": cloud, "urls": [cloud], "file_path": path, "file_paths": [path]}
        done_at = int(job.created_at) + 1
        video |= {"completed_at": done_at, "num_outputs": 1, "inference_time_s": 0.9}
    return video


def _fastvideo_video(simulator: OpenAISimulator, job: SimulatedJob) -> Fields:
    """Return a video that is queued until it is over, as nothing says that its work has begun."""
    stage, failure = simulator.stage(job), simulator.failure(job)
    is_over = stage == "done"
    seconds = round(_frames(job.input) / _fps(job.input))
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


def _failure_code(failure: str | None) -> int:
    """Return the status of vLLM-Omni's failed polls: 400 for what was asked, else 500."""
    return 400 if failure == _NEEDS_4N1 else 500


def _vllm_video(simulator: OpenAISimulator, job: SimulatedJob) -> Fields:
    stage, failure = simulator.stage(job), simulator.failure(job)
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
        "num_frames": _frames(job.input),
        "fps": _fps(job.input),
        "duration_s": _frames(job.input) / _fps(job.input),
        "stage_durations": {},
        "peak_memory_mb": 0.0,
        **dict.fromkeys(_VLLM_SAYS_NULL),
    }
    if stage == "done":
        video |= {"completed_at": int(job.created_at) + 1}
    if stage == "done" and failure is not None:
        video |= {"error": {"code": _failure_code(failure), "message": failure}}
    elif stage == "done":
        video |= {"file_name": f"{job.id}.mp4", "inference_time_s": 0.9}
    return video


def _status(stage: str, failure: str | None) -> str:
    if stage == "done":
        return "completed" if failure is None else "failed"
    return "queued" if stage == "queued" else "in_progress"


def _frames(fields: Fields) -> int:
    """Return the frames asked, which beat the seconds."""
    seconds = _whole(fields.get("seconds"), 4)
    return _whole(fields.get("num_frames"), round(seconds * _fps(fields)))


def _fps(fields: Fields) -> float:
    return float(str(fields.get("fps", 24)))


def _whole(value: JsonValue, otherwise: int) -> int:
    return otherwise if value is None else int(str(value))
