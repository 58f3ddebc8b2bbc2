"""Ark on this machine: its tasks as documented, for tests and for experiments.

What the documents leave open is invented here: most words of errors, and the answer to a cancel.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_FPS, _USUAL, _DAY = 24, 5, 86400
_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "adaptive")
_TOKENS_A_SECOND = 21600  # of 720p at 16:9
_SENSITIVE = "The request failed because the output video may contain sensitive information."
_FAILURES = {
    "failed": ("InternalServiceError", "The service had an internal error. Request id: 0217"),
    "moderated": ("OutputVideoSensitiveContentDetected", f"{_SENSITIVE} Request id: 0217"),
}
_REFUSALS = {
    "rejected": (
        400,
        "InputImageSensitiveContentDetected.PrivacyInformation",
        "The request failed because the input image may contain real person.",
    ),
    "quota": (429, "QuotaExceeded", "The quota is used up. Request id: 0217"),
}


class SeedanceSimulator(Simulator):
    """Answers as ark.ap-southeast.bytepluses.com does; any key like `Bearer ...` is good."""

    name = "seedance"
    outcomes: ClassVar[tuple[str, ...]] = (
        "completed",
        "expired",
        "cleared",
        *_FAILURES,
        *_REFUSALS,
    )

    def routes(self) -> Sequence[Route]:
        """Return the calls for tasks."""
        tasks = r"(?:/api/v3)?/contents/generations/tasks"
        task = rf"{tasks}/(?P<id>[^/]+)"
        return (
            Route("GET", task, "status", self._status),
            Route("DELETE", task, "cancel", self._cancel),
            Route("GET", tasks, "list", self._list),
            Route("POST", tasks, "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return Answer(401, _say("AuthenticationError", "The API key is missing or invalid."))

    def not_found(self, call: Call) -> Answer:
        """Return the answer about what is not there."""
        return Answer(404, _say("ResourceNotFound", "The resource is not found. Request id: 0217"))

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Ark writes one, with a code that means nothing."""
        return _say("SimulatedFault", text)

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        width, height = _SHAPES[str(job.input.get("ratio", "16:9"))]
        return Video(_FPS * _seconds(job), float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        problem = _problem(body)
        if problem is not None:
            return Answer(400, _say("InvalidParameter", f"{problem} Request id: 0217"))
        if self.outcome in _REFUSALS:
            status, code, words = _REFUSALS[self.outcome]
            return Answer(status, _say(code, words))
        return Answer(200, {"id": self.accept(str(body["model"]), body).id})

    def _status(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        return Answer(200, self._task(job, self.poll(job)))

    def _list(self, call: Call) -> Answer:
        wanted = call.query.get("filter.model", "")
        jobs = [job for job in self.jobs.values() if wanted in ("", job.model)]
        items: JsonValue = [self._task(job, self.stage(job)) for job in jobs]
        return Answer(200, {"total": len(jobs), "items": items})

    def _cancel(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        stage = self.stage(job)
        if stage == "running":
            return Answer(409, _say("InvalidAction", "A running task cannot be cancelled."))
        if stage == "done":
            del self.jobs[job.id]  # which is why nobody should ask for it
        job.is_cancelled = True
        return Answer(200, {})

    def _task(self, job: SimulatedJob, stage: str) -> JsonValue:
        began = int(job.created_at) - (2 * _DAY if self.outcome == "cleared" else 0)
        said: dict[str, JsonValue] = {"id": job.id, "model": job.model}
        times: dict[str, JsonValue] = {"created_at": began, "updated_at": began + 3}
        if job.is_cancelled or stage != "done":
            word = "cancelled" if job.is_cancelled else stage
            return {**said, "status": word, **times}
        if self.outcome == "expired":
            return {**said, "status": "expired", **times}
        if self.outcome in _FAILURES:
            code, words = _FAILURES[self.outcome]
            return {**said, "status": "failed", "error": {"code": code, "message": words}, **times}
        tokens, content = _TOKENS_A_SECOND * _seconds(job), {"video_url": self.video_url(job)}
        return {
            **said,
            "status": "succeeded",
            "content": None if self.outcome == "cleared" else {**content},
            "usage": {"completion_tokens": tokens, "total_tokens": tokens},
            **times,
            "seed": job.input.get("seed", 7),
            "resolution": job.input.get("resolution", "720p"),
            "ratio": job.input.get("ratio", "16:9"),
            "duration": _seconds(job),
            "framespersecond": _FPS,
        }


def _say(code: str, message: str) -> JsonValue:
    return {"error": {"code": code, "message": message, "param": "", "type": "BadRequest"}}


def _seconds(job: SimulatedJob) -> int:
    duration = job.input.get("duration", _USUAL)
    return duration if isinstance(duration, int) and duration > 0 else _USUAL


def _problem(body: dict[str, JsonValue]) -> str | None:
    """Return what is wrong with a submission."""
    content, duration = body.get("content"), body.get("duration", _USUAL)
    if not isinstance(body.get("model"), str):
        return "The parameter model is missing."
    if not isinstance(content, list) or not content:
        return "The parameter content is missing."
    if any("--" in str(each.get("text", "")) for each in content if isinstance(each, dict)):
        return "A parameter in the text is not valid."
    if not isinstance(duration, int) or not (duration == -1 or 2 <= duration <= 30):
        return "The parameter duration is not valid."
    if body.get("resolution", "720p") not in ("480p", "720p", "1080p", "4k"):
        return "The parameter resolution is not valid."
    if body.get("ratio", "16:9") not in _SHAPES:
        return "The parameter ratio is not valid."
    return None
