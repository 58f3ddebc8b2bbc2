"""OpenRouter on this machine: its video API as documented, for tests and for trying things out.

What the documents leave open is invented here: the words of errors, and which models there are.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4")
_FPS = 24
_USD_A_SECOND = 0.142
_BLOCKED = "Content was blocked by the provider"

MODELS: list[JsonValue] = [
    {
        "id": "bytedance/seedance-2.0",
        "canonical_slug": "bytedance/seedance-2.0",
        "name": "ByteDance: Seedance 2.0",
        "supported_resolutions": ["480p", "720p", "1080p"],
        "supported_aspect_ratios": ["16:9", "9:16", "1:1", "4:3", "3:4", "21:9"],
        "supported_sizes": None,
        "supported_durations": [4, 5, 6, 8, 10, 12, 15],
        "supported_frame_images": ["first_frame", "last_frame"],
        "seed": True,
        "generate_audio": True,
        "allowed_passthrough_parameters": ["watermark"],
        "pricing_skus": {"per-video-second": str(_USD_A_SECOND), "per-video-second-1080p": "0.354"},
    },
    {  # of which little is said
        "id": "acme/motion-1",
        "name": "Acme: Motion 1",
        "supported_resolutions": None,
        "supported_aspect_ratios": None,
        "supported_sizes": None,
        "supported_durations": None,
        "supported_frame_images": None,
        "seed": None,
        "generate_audio": None,
        "allowed_passthrough_parameters": None,
        "pricing_skus": {"per-credit": "0.01"},
    },
    {  # of which is said what it lacks
        "id": "acme/still-1",
        "name": "Acme: Still 1",
        "supported_resolutions": ["1080p", "4K"],
        "supported_aspect_ratios": ["16:9"],
        "supported_sizes": ["1920x1080", "3840x2160"],
        "supported_durations": [6, 10],
        "supported_frame_images": [],
        "seed": False,
        "generate_audio": False,
        "allowed_passthrough_parameters": [],
        "pricing_skus": {},
    },
]


class OpenRouterSimulator(Simulator):
    """Answers as openrouter.ai does; any key of the form `Bearer ...` is good."""

    name = "openrouter"
    outcomes: ClassVar[tuple[str, ...]] = (
        *("completed", "unsigned", "own_key", "failed", "blocked", "flagged", "cancelled"),
        *("expired", "empty", "no_credit"),
    )

    def routes(self) -> Sequence[Route]:
        """Return the calls for videos, most special first."""
        job = r"(?:/api)?(?:/v1)?/videos/(?P<id>[^/]+)"
        return (
            Route("GET", r"(?:/api)?(?:/v1)?/videos/models", "models", self._models),
            Route("GET", f"{job}/content", "content", self._content),
            Route("GET", job, "status", self._status),
            Route("POST", r"(?:/api)?(?:/v1)?/videos", "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return _error(401, "No auth credentials found")

    def error_body(self, text: str) -> JsonValue:
        """Return an error as OpenRouter writes one."""
        return {"error": {"code": 500, "message": text}}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        width, height = _SHAPES.get(str(job.input.get("aspect_ratio")), _SHAPES["16:9"])
        return Video(_FPS * _seconds(job), float(_FPS), width, height, job.shade)

    def _models(self, call: Call) -> Answer:
        return Answer(200, {"data": MODELS})

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        for name in ("model", "prompt"):
            if not isinstance(body.get(name), str):
                return _error(400, f"{name}: a string is required")
        if not isinstance(body.get("duration", 5), int):
            return _error(400, "duration: an integer is required")
        if self.outcome == "no_credit":
            return _error(
                402, "Insufficient credits. Add more using openrouter.ai/settings/credits"
            )
        if self.outcome == "flagged":
            reasons: JsonValue = {"reasons": ["violence"], "flagged_input": "a fox"}
            return _error(403, "Your input was flagged", metadata=reasons)
        job = self.accept(str(body["model"]), body)
        return Answer(202, self._job(job, "pending"))

    def _status(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return _error(404, "Job not found")
        stage = self.poll(job)
        if stage != "done":
            return Answer(200, self._job(job, {"queued": "pending"}.get(stage, "in_progress")))
        return Answer(200, self._end(job))

    def _end(self, job: SimulatedJob) -> JsonValue:
        match self.outcome:
            case "failed":
                return self._job(job, "failed", error="The provider returned an error")
            case "blocked":
                return self._job(job, "failed", error=_BLOCKED)
            case "cancelled" | "expired":
                return self._job(job, self.outcome)
            case "empty":
                return self._job(job, "completed", urls=[], unsigned_urls=[])
        unsigned: list[JsonValue] = [f"{self.url}/api/v1/videos/{job.id}/content?index=0"]
        signed: list[JsonValue] = [] if self.outcome == "unsigned" else [self.video_url(job)]
        usage: JsonValue = {
            "cost": round(_USD_A_SECOND * _seconds(job), 3),
            "is_byok": self.outcome == "own_key",
        }
        return self._job(job, "completed", urls=signed, unsigned_urls=unsigned, usage=usage)

    def _content(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None or self.stage(job) != "done":
            return _error(404, "There is no video yet")
        return Answer(200, self.video_content(job), media_type="video/mp4")

    def _job(self, job: SimulatedJob, status: str, **more: JsonValue) -> JsonValue:
        address = f"{self.url}/api/v1/videos/{job.id}"
        return {"id": job.id, "polling_url": address, "status": status, **more}


def _error(status: int, words: str, **more: JsonValue) -> Answer:
    return Answer(status, {"error": {"code": status, "message": words, **more}})


def _seconds(job: SimulatedJob) -> int:
    asked = job.input.get("duration")
    return asked if isinstance(asked, int) else 5
