"""xAI on this machine: its video API as documented, for tests and for trying things out.

What the documents leave open is invented here: the words of errors, and which status they have.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3")
_FPS = 24
_LONGEST, _USUAL = 15, 8  # seconds
_SOURCE_FRAMES = 96  # of a video that cannot be looked at
_TICKS_A_SECOND = 1_400_000_000


class XaiSimulator(Simulator):
    """Answers as api.x.ai does; any key of the form `Bearer ...` is good."""

    name = "xai"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "unsaid", "failed", "moderated", "expired")

    def routes(self) -> Sequence[Route]:
        """Return the calls for videos."""
        return (
            Route("GET", r"(?:/v1)?/videos/(?P<id>[^/]+)", "status", self._status),
            Route("POST", r"(?:/v1)?/videos/(?P<kind>generations)", "submit", self._submit),
            Route("POST", r"(?:/v1)?/videos/(?P<kind>edits|extensions)", "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return Answer(401, {"error": "the API key is missing", "code": "unauthenticated"})

    def error_body(self, text: str) -> JsonValue:
        """Return an error as xAI writes one."""
        return {"error": text, "code": "simulated"}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        width, height = _SHAPES.get(str(job.input.get("aspect_ratio")), _SHAPES["16:9"])
        source = _address(job.input.get("video"))
        frames = 0 if source is None else self.count_source_frames(source, _SOURCE_FRAMES)
        if source is None or "duration" in job.input:  # an extension, behind its source
            frames += _FPS * _seconds(job)
        return Video(frames, float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        problem = _problem(body, call.arguments["kind"])
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


def _address(medium: JsonValue) -> str | None:
    """Return the address of an image or a video, which is an object."""
    address = medium.get("url") if isinstance(medium, dict) else None
    return address if isinstance(address, str) else None


def _problem(body: dict[str, JsonValue], kind: str) -> str | None:
    """Return what is wrong with a submission."""
    if not isinstance(body.get("model"), str):
        return "model is missing"
    shown = [body.get(name) for name in ("image", "last_frame", "keyframes", "reference_images")]
    needs_prompt = kind != "generations" or not any(shown)
    if needs_prompt and not isinstance(body.get("prompt"), str):
        return "prompt is missing"
    return _problem_of_source(body, kind) or _problem_of_frames(body) or _problem_of_size(body)


def _problem_of_source(body: dict[str, JsonValue], kind: str) -> str | None:
    if (kind != "generations") != (_address(body.get("video")) is not None):
        return "video belongs to edits and extensions, and only to them"
    longest = {"generations": _LONGEST, "extensions": 10, "edits": 0}[kind]
    seconds = body.get("duration", min(_USUAL, longest))
    if not isinstance(seconds, int) or not min(1, longest) <= seconds <= longest:
        return f"duration must be a whole number from 1 to {longest}"
    unknown = {"aspect_ratio", "resolution", "generate_audio"} & body.keys()
    return f"{min(unknown)} is not supported" if kind != "generations" and unknown else None


def _problem_of_frames(body: dict[str, JsonValue]) -> str | None:
    for name in ("image", "last_frame"):
        if name in body and _address(body[name]) is None:
            return f"{name} needs a url"
    for name, most in (("keyframes", 4), ("reference_images", 7), ("reference_audios", 3)):
        listed = body.get(name, [])
        if not isinstance(listed, list) or len(listed) > most:
            return f"{name} must be a list of {most} at most"
    return None


def _problem_of_size(body: dict[str, JsonValue]) -> str | None:
    if body.get("aspect_ratio", "16:9") not in _SHAPES:
        return "aspect_ratio is not supported"
    if body.get("resolution", "720p") not in ("480p", "720p", "1080p"):
        return "resolution is not supported"
    return None
