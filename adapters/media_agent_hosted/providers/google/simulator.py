"""The Gemini API on this machine: its Interactions as documented, for video.

What the documents leave open is invented here: the words of errors, and the id of an interaction.
"""

import re
from binascii import b2a_base64
from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_FPS, _USUAL, _LONGEST = 24, 8, 15
_SHAPES = small_shapes("16:9", "9:16")
_STATES = {"queued": "queued", "running": "in_progress"}


class GoogleSimulator(Simulator):
    """Answers as generativelanguage.googleapis.com does; any key in `x-goog-api-key` is good."""

    name = "google"
    gives_files = False
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "inline", "failed", "blocked", "incomplete")

    def routes(self) -> Sequence[Route]:
        """Return the calls for interactions, and for the files that they make."""
        work = r"(?:/v1beta)?/interactions/(?P<id>[^/]+)"
        return (
            Route("POST", f"{work}/cancel", "cancel", self._cancel),
            Route("GET", work, "status", self._status),
            Route("POST", r"(?:/v1beta)?/interactions", "submit", self._submit),
            Route("GET", r"(?:/v1beta)?/files/(?P<id>[^/]+):download", "content", self._download),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever has no key."""
        if call.headers.get("x-goog-api-key"):
            return None
        return _refuse(403, "PERMISSION_DENIED", "the API key is missing")

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Google writes one."""
        return {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        form = job.input["response_format"]
        wanted = form if isinstance(form, dict) else {}
        width, height = _SHAPES.get(str(wanted.get("aspect_ratio")), _SHAPES["16:9"])
        return Video(_FPS * (_seconds(wanted) or _USUAL), float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        problem = _problem(body)
        if problem is not None:
            return _refuse(400, "INVALID_ARGUMENT", problem)
        job = self.accept(str(body["model"]), body)
        return Answer(200, self._said(job, "in_progress"))

    def _status(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        if job.is_cancelled:
            return Answer(200, self._said(job, "cancelled"))
        stage = self.poll(job)
        if stage != "done":
            return Answer(200, self._said(job, _STATES[stage]))
        match self.outcome:
            case "failed":
                error: JsonValue = {"code": "internal", "message": "generation failed"}
                return Answer(200, self._end(job, "failed", errors=[error]))
            case "blocked":
                error = {"code": "content_blocked", "message": "blocked by safety filters"}
                return Answer(200, self._end(job, "failed", errors=[error]))
            case "incomplete":
                return Answer(200, self._end(job, "incomplete"))
        return Answer(200, self._end(job, "completed", steps=[self._step(job)]))

    def _step(self, job: SimulatedJob) -> JsonValue:
        block: dict[str, JsonValue] = {"type": "video"}
        if self.outcome == "inline":
            block["data"] = encode(self.video_content(job))
        else:
            block["uri"] = f"{self.url}/v1beta/files/{job.id}:download?alt=media"
        content: JsonValue = [{**block, "mime_type": "video/mp4"}]
        return {"type": "model_output", "content": content}

    def _download(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        return Answer(200, self.video_content(job), media_type="video/mp4")

    def _cancel(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        job.is_cancelled = self.stage(job) != "done"
        return Answer(200, self._said(job, "cancelled" if job.is_cancelled else "completed"))

    def _said(self, job: SimulatedJob, status: str) -> dict[str, JsonValue]:
        times = {"created": "2026-11-20T10:00:00Z", "updated": "2026-11-20T10:00:05Z"}
        return {"id": job.id, "model": job.model, "status": status, **times}

    def _end(self, job: SimulatedJob, status: str, **more: JsonValue) -> JsonValue:
        return {"id": job.id, "status": status, **more}


def encode(content: bytes) -> str:
    """Return bytes as base64."""
    return b2a_base64(content, newline=False).decode("ascii")


def _seconds(form: dict[str, JsonValue]) -> int | None:
    said = re.fullmatch(r"(\d+)s", str(form.get("duration", "")))
    return None if said is None else int(said[1])


def _problem(body: dict[str, JsonValue]) -> str | None:
    """Return what is wrong with a submission."""
    form = body.get("response_format")
    if not isinstance(body.get("model"), str) or not body.get("input"):
        return "model and input are needed"
    if body.get("background") is not True:
        return "the simulator answers interactions in the background only: background must be true"
    if not isinstance(form, dict) or form.get("type") != "video":
        return "response_format.type must be video"
    seconds = _seconds(form)
    if "duration" in form and (seconds is None or not 3 <= seconds <= _LONGEST):
        return 'response_format.duration must be "3s" to "15s"'
    if form.get("resolution", "720p") not in ("360p", "720p", "1080p", "4k"):
        return "response_format.resolution is not supported"
    if form.get("aspect_ratio", "16:9") not in _SHAPES:
        return "response_format.aspect_ratio is not supported"
    return None


def _refuse(status: int, name: str, words: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": words, "status": name}})
