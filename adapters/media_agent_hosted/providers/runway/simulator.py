"""Runway on this machine: its tasks and uploads as documented, for tests and for experiments.

What the documents leave open is invented here: the words of errors, and the names in the answer to
an upload.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video

_FPS, _USUAL = 24, 5
_CREATED = "2026-11-20T10:00:00.000Z"
_NEEDS = {"image_to_video": ("promptImage",), "video_to_video": ("videoUri", "promptVideo")}
_FAILURES = {
    "failed": ("INTERNAL.BAD_OUTPUT.CODE01", "An unexpected error occurred."),
    "moderated": ("SAFETY.INPUT.TEXT", "The prompt was not allowed."),
}


class RunwaySimulator(Simulator):
    """Answers as api.dev.runwayml.com does; any key of the form `Bearer ...` is good."""

    name = "runway"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "failed", "moderated", "throttled")

    def routes(self) -> Sequence[Route]:
        """Return the calls for tasks and uploads."""
        task = r"/v1/tasks/(?P<id>[^/]+)"
        return (
            Route("GET", task, "status", self._status),
            Route("DELETE", task, "cancel", self._cancel),
            Route("POST", "/v1/uploads", "upload", self._upload),
            Route("POST", "/storage", "storage", self._store, needs_key=False),
            Route("POST", r"/v1/(?P<kind>(?:text|image|video)_to_video)", "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...` with a version."""
        if not call.has_bearer:
            return Answer(401, self.error_body("the API key is missing"))
        if call.headers.get("x-runway-version") is None:
            return Answer(400, self.error_body("X-Runway-Version is missing"))
        return None

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Runway writes one."""
        return {"error": text}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        seconds = job.input.get("duration")
        across, _, down = str(job.input.get("ratio", "16:9")).partition(":")
        scale = 64 / max(int(across), int(down))
        width, height = (max(16, round(int(side) * scale / 2) * 2) for side in (across, down))
        length = seconds if isinstance(seconds, int) else _USUAL
        return Video(_FPS * length, float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body, needed = call.json(), _NEEDS.get(call.arguments["kind"], ("promptText",))
        if not isinstance(body.get("model"), str):
            return Answer(400, self.error_body("model is missing"))
        if not any(body.get(name) for name in needed):
            return Answer(400, self.error_body(f"{needed[0]} is missing"))
        duration, ratio = body.get("duration", _USUAL), str(body.get("ratio", "1280:720"))
        if not isinstance(duration, int) or not 2 <= duration <= 15:
            return Answer(400, self.error_body("duration is not supported"))
        if re.fullmatch(r"\d+:\d+", ratio) is None:
            return Answer(400, self.error_body("ratio is not supported"))
        job = self.accept(str(body["model"]), body)
        return Answer(200, {"id": job.id, "estimatedCost": {"credits": 60}})

    def _status(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None or job.is_cancelled:
            return self.not_found(call)
        stage = self.poll(job)
        said: dict[str, JsonValue] = {"id": job.id}
        cost: JsonValue = {"credits": 60}
        if stage == "queued":
            word = "THROTTLED" if self.outcome == "throttled" else "PENDING"
            return Answer(
                200, {**said, "status": word, "createdAt": _CREATED, "estimatedCost": cost}
            )
        if stage == "running":
            done = (job.polls - self.queued_polls) / (self.running_polls + 1)
            more: dict[str, JsonValue] = {
                "createdAt": _CREATED,
                "progress": done,
                "estimatedCost": cost,
            }
            return Answer(200, {**said, "status": "RUNNING", **more})
        if self.outcome in _FAILURES:
            code, words = _FAILURES[self.outcome]
            why: dict[str, JsonValue] = {"failure": words, "failureCode": code}
            free: JsonValue = {"credits": 0}
            end: dict[str, JsonValue] = {
                "status": "FAILED",
                "createdAt": _CREATED,
                **why,
                "cost": free,
            }
            return Answer(200, {**said, **end})
        output: JsonValue = [self.video_url(job)]
        end = {"status": "SUCCEEDED", "createdAt": _CREATED, "output": output, "cost": cost}
        return Answer(200, {**said, **end})

    def _cancel(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        job.is_cancelled = True
        return Answer(204, b"")

    def _upload(self, call: Call) -> Answer:
        name = call.json().get("filename")
        if not isinstance(name, str):
            return Answer(400, self.error_body("filename is missing"))
        fields: JsonValue = {"key": f"ephemeral/{name}"}
        place: dict[str, JsonValue] = {"uploadUrl": f"{self.url}/storage", "fields": fields}
        return Answer(200, {**place, "runwayUri": f"runway://ephemeral/{name}"})

    def _store(self, call: Call) -> Answer:
        is_keyless = "authorization" not in call.headers
        return Answer(204 if is_keyless and b"ephemeral/" in call.body else 400, b"")
