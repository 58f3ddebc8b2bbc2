"""Model Studio on this machine: its tasks as documented, for tests and for experiments.

What the documents leave open is invented here: most words of errors, and the answers to a cancel.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_FPS, _USUAL = 24, 5
_TIMES = {
    "submit_time": "2026-11-20 10:00:00.000",
    "scheduled_time": "2026-11-20 10:00:01.000",
    "end_time": "2026-11-20 10:01:40.000",
}
_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4")
_FAILURES = {
    "failed": ("InternalError.Algo", "The model failed"),
    "moderated": ("DataInspectionFailed", "Input data may contain inappropriate content."),
}
_REFUSALS = {
    "rejected": (400, "DataInspectionFailed", "Input data may contain inappropriate content."),
    "rejected_in_200": (200, "InvalidParameter", "The request is invalid"),
    "throttled": (429, "Throttling.AllocationQuota", "Too many tasks at once"),
    "other_region": (401, "InvalidApiKey", "Invalid API-key provided."),
}
_SYNCHRONOUS = "current user api does not support synchronous calls"


class DashscopeSimulator(Simulator):
    """Answers as dashscope-intl.aliyuncs.com does; any key of the form `Bearer ...` is good."""

    name = "dashscope"
    outcomes: ClassVar[tuple[str, ...]] = (
        "completed",
        "suspended",
        "lost",
        *_FAILURES,
        *_REFUSALS,
    )

    def routes(self) -> Sequence[Route]:
        """Return the calls for tasks."""
        base = r"(?:/api/v1)?"
        task = rf"{base}/tasks/(?P<id>[^/]+)"
        kinds = r"(?P<kind>video-generation|image2video)"
        return (
            Route("POST", f"{task}/cancel", "cancel", self._cancel),
            Route("GET", task, "status", self._status),
            Route("POST", rf"{base}/services/aigc/{kinds}/video-synthesis", "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return Answer(401, _say("InvalidApiKey", "Invalid API-key provided."))

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Model Studio writes one, with a code that means nothing."""
        return _say("SimulatedFault", text)

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        asked = _object(job.input.get("parameters"))
        across, _, down = str(asked.get("size", "")).partition("*")
        width, height = _SHAPES.get(str(asked.get("ratio")), _SHAPES["16:9"])
        if down and int(down) > int(across):
            width, height = _SHAPES["9:16"]
        return Video(_FPS * _seconds(job), float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        if call.headers.get("x-dashscope-async") != "enable":
            return Answer(403, _say("AccessDenied", _SYNCHRONOUS))
        problem = _problem(body, call.arguments["kind"])
        if problem is not None:
            return Answer(400, _say("InvalidParameter", problem))
        if self.outcome in _REFUSALS:
            status, code, words = _REFUSALS[self.outcome]
            return Answer(status, _say(code, words))
        job = self.accept(str(body["model"]), body)
        return Answer(200, _about({"task_status": "PENDING", "task_id": job.id}))

    def _status(self, call: Call) -> Answer:
        name = call.arguments["id"]
        job = self.jobs.get(name)
        if job is None:
            return Answer(200, _about({"task_id": name, "task_status": "UNKNOWN"}))
        said: dict[str, JsonValue] = {"task_id": job.id}
        if job.is_cancelled:
            return Answer(200, _about({**said, "task_status": "CANCELED"}))
        stage = self.poll(job)
        if stage == "queued":
            word = "SUSPENDED" if self.outcome == "suspended" else "PENDING"
            return Answer(200, _about({**said, "task_status": word}))
        if self.outcome == "lost":
            return Answer(200, _about({**said, "task_status": "UNKNOWN"}))
        began = {name: _TIMES[name] for name in ("submit_time", "scheduled_time")}
        if stage == "running":
            return Answer(200, _about({**said, "task_status": "RUNNING", **began}))
        if self.outcome in _FAILURES:
            code, words = _FAILURES[self.outcome]
            failed: dict[str, JsonValue] = {"code": code, "message": words}
            return Answer(200, _about({**said, "task_status": "FAILED", **failed}))
        return Answer(200, self._done(job, said))

    def _done(self, job: SimulatedJob, said: dict[str, JsonValue]) -> JsonValue:
        asked, seconds = _object(job.input.get("parameters")), _seconds(job)
        prompt = _object(job.input.get("input")).get("prompt", "")
        output: dict[str, JsonValue] = {
            **said,
            "task_status": "SUCCEEDED",
            **_TIMES,
            "orig_prompt": prompt,
            "video_url": self.video_url(job),
        }
        usage: JsonValue = {
            "duration": seconds,
            "output_video_duration": seconds,
            "SR": int(str(asked.get("resolution", "720P")).rstrip("P")),
            "ratio": asked.get("ratio", "16:9"),
            "video_count": 1,
        }
        return {"request_id": "c1", "output": output, "usage": usage}

    def _cancel(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None or self.stage(job) != "queued":
            return Answer(400, _say("UnsupportedOperation", "Only PENDING tasks are canceled"))
        job.is_cancelled = True
        return Answer(200, {"request_id": "c1"})


def _about(output: dict[str, JsonValue]) -> JsonValue:
    return {"request_id": "c1", "output": output}


def _say(code: str, message: str) -> JsonValue:
    return {"code": code, "message": message, "request_id": "c1"}


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _seconds(job: SimulatedJob) -> int:
    duration = _object(job.input.get("parameters")).get("duration", _USUAL)
    return duration if isinstance(duration, int) and duration > 0 else _USUAL


def _problem(body: dict[str, JsonValue], kind: str) -> str | None:
    """Return what is wrong with a submission."""
    inside, asked = _object(body.get("input")), _object(body.get("parameters"))
    if not isinstance(body.get("model"), str):
        return "model is missing"
    if not (inside.get("prompt") or inside.get("media") or inside.get("img_url")):
        return "input.prompt is missing"
    if kind == "image2video" and not (
        inside.get("first_frame_url") and inside.get("last_frame_url")
    ):
        return "first_frame_url and last_frame_url are needed"
    duration = asked.get("duration", _USUAL)
    if not isinstance(duration, int) or not (duration == -1 or 2 <= duration <= 15):
        return "duration is not supported"
    if asked.get("resolution", "720P") not in ("480P", "720P", "1080P"):
        return "resolution is not supported"
    if asked.get("ratio", "16:9") not in _SHAPES:
        return "ratio is not supported"
    if re.fullmatch(r"\d+\*\d+", str(asked.get("size", "1280*720"))) is None:
        return "size must be written with an asterisk"
    return None
