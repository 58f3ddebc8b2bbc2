"""Kling on this machine: its tasks as documented, for tests and for experiments.

What the documents leave open is invented here: most words of errors, how a second task of one name
is rejected, and which fields belong to a path.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_FPS, _USUAL = 24, 5
_CREATED, _UPDATED = 1763600000000, 1763600005000
_SHAPES = small_shapes("16:9", "9:16", "1:1")
_NEEDS = {
    "image2video": ("image",),
    "multi-image2video": ("image_list",),
    "motion-control": ("image_url", "video_url", "character_orientation", "mode"),
    "video-extend": ("video_id",),
}
_FAILURES = {
    "failed": "Internal error of the generation",
    "moderated": "Failure to pass the risk control system",
}
_REFUSALS = {
    "no_credit": (429, 1102, "Resource pack has been used up"),
    "no_credit_in_200": (200, 1102, "Resource pack has been used up"),
    "concurrency": (429, 1303, "Parallel task over resource pack limit"),
    "rejected": (400, 1301, "Content security policy triggered"),
}


class KlingSimulator(Simulator):
    """Answers as api-singapore.klingai.com does; any key of the form `Bearer ...` is good."""

    name = "kling"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "watermarked", *_FAILURES, *_REFUSALS)

    def routes(self) -> Sequence[Route]:
        """Return the calls for tasks, below the path of each mode."""
        kind = r"/v1/videos/(?P<kind>[a-z0-9-]+)"
        return (
            Route("GET", f"{kind}/(?P<id>[^/]+)", "status", self._status),
            Route("GET", kind, "list", self._list),
            Route("POST", kind, "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return Answer(401, _say(1002, "Authorization is empty"))

    def not_found(self, call: Call) -> Answer:
        """Return the answer about what is not there."""
        return Answer(404, _say(1203, "The requested resource does not exist"))

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Kling writes one, with a code that means nothing."""
        return _say(1, text)

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        width, height = _SHAPES.get(str(job.input.get("aspect_ratio")), _SHAPES["16:9"])
        return Video(_FPS * _seconds(job), float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body, kind = call.json(), call.arguments["kind"]
        problem = _problem(body, kind)
        if problem is not None:
            return Answer(400, _say(1201, problem))
        name = body.get("external_task_id")
        if name is not None and any(job.key == name for job in self.jobs.values()):
            return Answer(400, _say(1201, f"external_task_id {name} already exists"))
        if self.outcome in _REFUSALS:
            status, code, words = _REFUSALS[self.outcome]
            return Answer(status, _say(code, words))
        job = self.accept(str(body.get("model_name", kind)), {**body, "kind": kind}, _text(name))
        return Answer(200, self._envelope({**_about(job), "task_status": "submitted"}))

    def _status(self, call: Call) -> Answer:
        name, kind = call.arguments["id"], call.arguments["kind"]
        jobs = (job for job in self.jobs.values() if job.input["kind"] == kind)
        job = next((job for job in jobs if name in (job.id, job.key)), None)
        if job is None:
            return self.not_found(call)
        return Answer(200, self._envelope(self._task(job, self.poll(job))))

    def _list(self, call: Call) -> Answer:
        kind = call.arguments["kind"]
        jobs = [job for job in self.jobs.values() if job.input["kind"] == kind]
        tasks: JsonValue = [self._task(job, self.stage(job)) for job in jobs]
        return Answer(200, self._envelope(tasks))

    def _task(self, job: SimulatedJob, stage: str) -> dict[str, JsonValue]:
        said = {**_about(job), "task_status_msg": ""}
        if stage != "done":
            word = "submitted" if stage == "queued" else "processing"
            return {**said, "task_status": word}
        if self.outcome in _FAILURES:
            return {**said, "task_status": "failed", "task_status_msg": _FAILURES[self.outcome]}
        url = self.video_url(job)
        video: dict[str, JsonValue] = {
            "id": f"v-{job.id}",
            "url": url,
            "duration": f"{_seconds(job)}.1",
        }
        if self.outcome == "watermarked":
            video["watermark_url"] = url.replace(".mp4", "-marked.mp4")
        ended: dict[str, JsonValue] = {"final_unit_deduction": "3.5"}
        return {**said, "task_status": "succeed", **ended, "task_result": {"videos": [video]}}

    def _envelope(self, data: JsonValue) -> JsonValue:
        return {"code": 0, "message": "SUCCEED", "request_id": "CjM1", "data": data}


def _about(job: SimulatedJob) -> dict[str, JsonValue]:
    info: dict[str, JsonValue] = {} if job.key is None else {"external_task_id": job.key}
    times: dict[str, JsonValue] = {"created_at": _CREATED, "updated_at": _UPDATED}
    return {"task_id": job.id, "task_info": info, **times}


def _say(code: int, message: str) -> JsonValue:
    return {"code": code, "message": message, "request_id": "CjM1"}


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(job: SimulatedJob) -> int:
    return int(str(job.input.get("duration", _USUAL)))


def _problem(body: dict[str, JsonValue], kind: str) -> str | None:
    """Return what is wrong with a submission."""
    if kind != "video-extend" and not isinstance(body.get("model_name"), str):
        return "model_name is missing"
    for name in _NEEDS.get(kind, () if body.get("multi_shot") else ("prompt",)):
        if not body.get(name):
            return f"{name} is missing"
    duration = body.get("duration", str(_USUAL))
    if not isinstance(duration, str) or not duration.isdigit() or not 3 <= int(duration) <= 15:
        return "duration is not supported"
    if body.get("mode", "std") not in ("std", "pro"):
        return "mode is not supported"
    if body.get("aspect_ratio", "16:9") not in _SHAPES:
        return "aspect_ratio is not supported"
    if str(body.get("image", "")).startswith("data:"):
        return "image must not have a prefix"
    return _problem_of_shots(body, duration)


def _problem_of_shots(body: dict[str, JsonValue], duration: str) -> str | None:
    shots = body.get("multi_prompt")
    if not isinstance(shots, list):
        return None
    lengths = [int(str(each["duration"])) for each in shots if isinstance(each, dict)]
    return None if sum(lengths) == int(duration) else "multi_prompt does not add up to duration"
