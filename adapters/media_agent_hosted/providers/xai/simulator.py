"""xAI on this machine: its video API as documented, for tests and for trying things out.

What the documents leave open is invented here: the words of errors, and which status they have.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video

_SHAPES = {
    "16:9": (64, 36),
    "9:16": (36, 64),
    "1:1": (48, 48),
    "4:3": (64, 48),
    "3:4": (48, 64),
    "3:2": (72, 48),
    "2:3": (48, 72),
}
_FPS = 24
_LONGEST, _USUAL = 15, 8  # seconds
_TICKS_A_SECOND = 1_400_000_000


class XaiSimulator(Simulator):
    """Answers as api.x.ai does; any key of the form `Bearer ...` is good."""

    name = "xai"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "unsaid", "failed", "moderated", "expired")

    def routes(self) -> Sequence[Route]:
        """Return the calls for videos."""
        return (
            Route("GET", r"(?:/v1)?/videos/(?P<id>[^/]+)", "status", self._status),
            Route("POST", r"(?:/v1)?/videos/generations", "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if re.fullmatch(r"Bearer \S+", call.headers.get("authorization", "")):
            return None
        return Answer(401, {"error": "the API key is missing", "code": "unauthenticated"})

    def error_body(self, text: str) -> JsonValue:
        """Return an error as xAI writes one."""
        return {"error": text, "code": "simulated"}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        width, height = _SHAPES.get(str(job.input.get("aspect_ratio")), _SHAPES["16:9"])
        shade = int(job.id[-4:], 16) * 40 % 200
        return Video(_FPS * _seconds(job), float(_FPS), width, height, shade)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        problem = _problem(body)
        if problem is not None:
            return Answer(400, {"error": problem, "code": "invalid-argument"})
        return Answer(200, {"request_id": self.accept(str(body["model"]), body).id})

    def _status(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        match self.poll(job):
            case "queued":
                return Answer(202, b"")
            case "running":
                done = 100 * (job.polls - self.queued_polls) // (self.running_polls + 1)
                return Answer(202, {"status": "pending", "progress": done})
        return Answer(200, self._end(job))

    def _end(self, job: SimulatedJob) -> JsonValue:
        match self.outcome:
            case "failed":
                error: JsonValue = {"code": "internal_error", "message": "generation failed"}
                return {"status": "failed", "error": error}
            case "expired":
                return {"status": "expired"}
            case "moderated":
                nothing: JsonValue = {"url": "", "duration": 0, "respect_moderation": False}
                return {"status": "done", "video": nothing}
        seconds = _seconds(job)
        video: JsonValue = {
            "url": self.video_url(job),
            "duration": seconds,
            "respect_moderation": True,
        }
        return {
            **({} if self.outcome == "unsaid" else {"status": "done"}),
            "model": job.model,
            "progress": 100,
            "video": video,
            "usage": {"cost_in_usd_ticks": _TICKS_A_SECOND * seconds},
        }


def _seconds(job: SimulatedJob) -> int:
    asked = job.input.get("duration")
    return asked if isinstance(asked, int) else _USUAL


def _problem(body: dict[str, JsonValue]) -> str | None:
    """Return what is wrong with a submission."""
    for name in ("model", "prompt"):
        if not isinstance(body.get(name), str):
            return f"{name} is missing"
    seconds = body.get("duration", _USUAL)
    if not isinstance(seconds, int) or not 1 <= seconds <= _LONGEST:
        return f"duration must be a whole number from 1 to {_LONGEST}"
    if body.get("aspect_ratio", "16:9") not in _SHAPES:
        return "aspect_ratio is not supported"
    if body.get("resolution", "720p") not in ("480p", "720p", "1080p"):
        return "resolution is not supported"
    return None
