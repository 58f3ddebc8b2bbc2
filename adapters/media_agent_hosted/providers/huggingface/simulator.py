"""Hugging Face on this machine: the Hub's mapping, and its router with five partners behind it.

What the documents leave open is invented here: the words of errors, and which models there are. As
the real ones, the partners name addresses of their own, of which nothing is here.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video

_WAN = "Wan-AI/Wan2.2-T2V-A14B"
_TEXT, _IMAGE = "text-to-video", "image-to-video"
MODELS: dict[str, list[tuple[str, str, str]]] = {
    _WAN: [
        ("fal-ai", "fal-ai/wan/v2.2-a14b/text-to-video", _TEXT),
        ("replicate", "wan-video/wan-2.2-t2v-fast", _TEXT),
        ("together", _WAN, _TEXT),
    ],
    "Wan-AI/Wan2.2-I2V-A14B": [("fal-ai", "fal-ai/wan/v2.2-a14b/image-to-video", _IMAGE)],
    "Wan-AI/Wan2.2-TI2V-5B": [("wavespeed", "wavespeed-ai/wan-2.2/t2v-5b-720p", _TEXT)],
    "Wan-AI/Wan2.1-T2V-14B": [("novita", "wan-t2v", _TEXT)],
}
_FLAGGED = "The content could not be processed because it contained material flagged by a checker."
_WORDS = {"failed": "Runner disconnected", "moderated": "flagged as sensitive (E005)"}


class HuggingFaceSimulator(Simulator):
    """Answers as huggingface.co and its router do; any key of the form `Bearer ...` is good."""

    name = "huggingface"
    outcomes: ClassVar[tuple[str, ...]] = (
        *("completed", "failed", "moderated", "empty", "no_credit", "unmapped"),
    )

    def routes(self) -> Sequence[Route]:
        """Return the calls of the Hub and of each partner, most special first."""
        fal = r"/fal-ai/(?P<app>.+)/requests/(?P<id>[^/]+)"
        return (
            Route("GET", r"/api/models/(?P<model>[^/]+/[^/]+)", "mapping", self._mapping),
            Route("GET", f"{fal}/status", "status", self._status_at_fal),
            Route("GET", fal, "result", self._result_at_fal),
            Route("POST", r"/fal-ai/(?P<model>.+)", "submit", self._submit_to_fal),
            Route("GET", r"/replicate/v1/predictions/(?P<id>[^/]+)", "status", self._prediction),
            Route(
                "POST",
                r"/replicate/v1/models/(?P<model>[^/]+/[^/]+)/predictions",
                "submit",
                self._predict,
            ),
            Route("GET", r"/together/v2/videos/(?P<id>[^/]+)", "status", self._video_at_together),
            Route("POST", r"/together/v2/videos", "submit", self._submit_to_together),
            Route(
                "GET",
                r"/wavespeed/api/v3/predictions/(?P<id>[^/]+)(?:/result)?",
                "status",
                self._task_at_wavespeed,
            ),
            Route("POST", r"/wavespeed/api/v3/(?P<model>.+)", "submit", self._submit_to_wavespeed),
            Route("POST", r"/novita/v3/hf/(?P<model>.+)", "submit", self._make_at_novita),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return Answer(401, {"error": "Invalid username or password."})

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Hugging Face writes one."""
        return {"error": text}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length asked, small."""
        fields = job.input.get("input", job.input)
        asked = fields if isinstance(fields, dict) else {}
        fps = float(str(asked.get("frames_per_second", 24)))
        frames, seconds = asked.get("num_frames"), asked.get("duration", asked.get("seconds", 5))
        made = frames if isinstance(frames, int) else round(fps * float(str(seconds)))
        return Video(made, fps, shade=job.shade)

    def _mapping(self, call: Call) -> Answer:
        name = call.arguments["model"]
        if name not in MODELS:
            return Answer(404, {"error": "Repository not found"})
        offers: dict[str, JsonValue] = {
            partner: {"status": "live", "providerId": model, "task": task}
            for partner, model, task in MODELS[name]
            if self.outcome != "unmapped"
        }
        return Answer(200, {"_id": "6887", "id": name, "inferenceProviderMapping": offers})

    def _take(self, call: Call, model: str, prompt: JsonValue) -> Answer | SimulatedJob:
        """Take a submission on, or say no."""
        if self.outcome == "no_credit":
            said = "You have exceeded your monthly included credits for Inference Providers."
            return Answer(402, {"error": said})
        if not isinstance(prompt, str):
            fault: JsonValue = {"loc": ["body", "prompt"], "msg": "required", "type": "missing"}
            return Answer(422, {"detail": [fault]})
        return self.accept(model, call.json())

    def _submit_to_fal(self, call: Call) -> Answer:
        if call.query.get("_subdomain") != "queue":
            return Answer(400, {"error": "it would block"})
        taken = self._take(call, call.arguments["model"], call.json().get("prompt"))
        if isinstance(taken, Answer):
            return taken
        return Answer(200, {"status": "IN_QUEUE", "request_id": taken.id, **_at_fal(taken)})

    def _status_at_fal(self, call: Call) -> Answer:
        job = self._job_at_fal(call)
        if job is None:
            return self.not_found(call)
        stage = self.poll(job)
        if stage != "done":
            return Answer(202, {"status": "IN_QUEUE" if stage == "queued" else "IN_PROGRESS"})
        if self.outcome == "failed":
            why = {"error": _WORDS["failed"], "error_type": "runner_disconnected"}
            return Answer(200, {"status": "COMPLETED", **why})
        return Answer(200, {"status": "COMPLETED"})

    def _result_at_fal(self, call: Call) -> Answer:
        job = self._job_at_fal(call)
        if job is None:
            return self.not_found(call)
        if self.stage(job) != "done":
            return Answer(400, {"detail": "Request is still in progress"})
        if self.outcome == "moderated":
            kind = "content_policy_violation"
            fault: JsonValue = {"loc": ["body", "prompt"], "msg": _FLAGGED, "type": kind}
            return Answer(422, {"detail": [fault]})
        if self.outcome == "empty":
            return Answer(200, {"images": []})
        return Answer(200, {"video": {"url": self.video_url(job), "content_type": "video/mp4"}})

    def _job_at_fal(self, call: Call) -> SimulatedJob | None:
        job = self.jobs.get(call.arguments["id"])
        is_queue = call.query.get("_subdomain") == "queue"
        is_there = job is not None and _app(job.model) == call.arguments["app"] and is_queue
        return job if is_there else None

    def _predict(self, call: Call) -> Answer:
        if "prefer" in call.headers:
            return Answer(400, {"error": "it would block"})
        fields = call.json().get("input")
        prompt = fields.get("prompt") if isinstance(fields, dict) else None
        taken = self._take(call, call.arguments["model"], prompt)
        if isinstance(taken, Answer):
            return taken
        return Answer(201, _at_replicate(taken, "starting"))

    def _prediction(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        stage = self.poll(job)
        if stage != "done":
            state = "starting" if stage == "queued" else "processing"
            return Answer(200, _at_replicate(job, state, logs=" 40%|####      | 8/20"))
        if self.outcome in _WORDS:
            return Answer(200, _at_replicate(job, "failed", error=_WORDS[self.outcome]))
        video = None if self.outcome == "empty" else self.video_url(job)
        return Answer(200, _at_replicate(job, "succeeded", output=video))

    def _submit_to_together(self, call: Call) -> Answer:
        body = call.json()
        taken = self._take(call, str(body.get("model")), body.get("prompt"))
        if isinstance(taken, Answer):
            return taken
        return Answer(200, {"id": taken.id, "model": taken.model, "status": "queued"})

    def _video_at_together(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        stage = self.poll(job)
        said: dict[str, JsonValue] = {"id": job.id, "model": job.model}
        if stage != "done":
            state = "queued" if stage == "queued" else "in_progress"
            return Answer(200, {**said, "status": state})
        if self.outcome in _WORDS:
            error: JsonValue = {"message": _WORDS[self.outcome]}
            return Answer(200, {**said, "status": "failed", "error": error})
        outputs: JsonValue = {} if self.outcome == "empty" else {"video_url": self.video_url(job)}
        return Answer(200, {**said, "status": "completed", "outputs": outputs})

    def _submit_to_wavespeed(self, call: Call) -> Answer:
        taken = self._take(call, call.arguments["model"], call.json().get("prompt"))
        return taken if isinstance(taken, Answer) else _at_wavespeed(taken, "created")

    def _task_at_wavespeed(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        stage = self.poll(job)
        if stage != "done":
            return _at_wavespeed(job, "created" if stage == "queued" else "processing")
        if self.outcome in _WORDS:
            return _at_wavespeed(job, "failed", error=_WORDS[self.outcome])
        outputs: list[JsonValue] = [] if self.outcome == "empty" else [self.video_url(job)]
        return _at_wavespeed(job, "completed", outputs=outputs)

    def _make_at_novita(self, call: Call) -> Answer:
        if self.outcome == "moderated":
            return Answer(400, {"message": _WORDS["moderated"]})
        if self.outcome == "failed":
            return Answer(500, {"message": _WORDS["failed"]})
        taken = self._take(call, call.arguments["model"], call.json().get("prompt"))
        if isinstance(taken, Answer):
            return taken
        made: JsonValue = {} if self.outcome == "empty" else {"video_url": self.video_url(taken)}
        return Answer(200, {"video": made})


def _app(model: str) -> str:
    return "/".join(model.split("/")[:2])


def _at_fal(job: SimulatedJob) -> dict[str, JsonValue]:
    """Return the addresses of a request at fal itself."""
    base = f"https://queue.fal.run/{_app(job.model)}/requests/{job.id}"
    return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


def _at_replicate(job: SimulatedJob, state: str, **more: JsonValue) -> JsonValue:
    urls: JsonValue = {"get": f"https://api.replicate.com/v1/predictions/{job.id}"}
    usual: dict[str, JsonValue] = {"output": None, "logs": "", "error": None}
    return {"id": job.id, "model": job.model, "status": state, **usual, **more, "urls": urls}


def _at_wavespeed(job: SimulatedJob, state: str, **more: JsonValue) -> Answer:
    urls: JsonValue = {"get": f"https://api.wavespeed.ai/api/v3/predictions/{job.id}/result"}
    usual: dict[str, JsonValue] = {"outputs": [], "urls": urls, "status": state, "error": ""}
    data: JsonValue = {"id": job.id, "model": job.model, **usual, **more}
    return Answer(200, {"code": 200, "message": "success", "data": data})
