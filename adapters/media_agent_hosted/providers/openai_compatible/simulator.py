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
from media_agent_hosted.providers.openai_compatible.simulated_videos import (
    NEEDS_4N1,
    USUAL_SIZE,
    failure_code,
    fastvideo_video,
    fps_of,
    frames_of,
    sglang_video,
    vllm_video,
    whole_number,
)

Flavour = Literal["sglang", "vllm-omni", "fastvideo"]

WAN = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"
_NO_CONTENT_OF_A_FAILURE: Mapping[Flavour, tuple[int, str]] = {
    "sglang": (404, "Video variant None not found"),
    "vllm-omni": (422, "Video generation failed. Check job status for error details."),
    "fastvideo": (500, "Video generation failed"),
}
_ID = r"/v1/videos/(?P<id>[^/]+)"


class OpenAISimulator(Simulator):
    """Takes videos in a form, pretends to make them, and gives real MP4 files.

    `key` is asked of every call when given, `fails_with` lets every video fail with these words,
    `cloud_url` keeps videos elsewhere, as SGLang's upload does; `repeats_seed` shows seeds, which
    none of the three does. A Wan model of vLLM-Omni lets
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
        repeats_seed: bool = False,
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
        self.repeats_seed = repeats_seed
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
        width, height = (int(side) for side in str(job.input.get("size", USUAL_SIZE)).split("x"))
        shade = 40 + whole_number(job.input.get("seed"), 0) % 120
        return Video(frames_of(job.input), fps_of(job.input), width, height, shade)

    def resource(self, job: SimulatedJob) -> Fields:
        """Return a video as the server describes it now."""
        stage, failure = self.stage(job), self.failure(job)
        seed = {"seed": job.input.get("seed")} if self.repeats_seed else {}
        match self.flavour:
            case "sglang":
                return sglang_video(job, stage, failure, self.cloud_url) | seed
            case "vllm-omni":
                return vllm_video(job, stage, failure) | seed
            case "fastvideo":
                return fastvideo_video(job, stage, failure) | seed

    def failure(self, job: SimulatedJob) -> str | None:
        """Return why a video fails, None if it does not."""
        needs_4n1 = self.flavour == "vllm-omni" and "wan" in self.model.lower()
        if self.fails_with is None and needs_4n1 and frames_of(job.input) % 4 != 1:
            return NEEDS_4N1
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
            return Answer(failure_code(self.failure(job)), body)
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
