"""Luma's Agents API on this machine: generations and files as documented, for video.

What the documents leave open is invented here: the words of errors, and for how long a file is
looked at before it is ready: for one question.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_FPS, _USUAL = 24, 5
_CREATED = "2026-11-20T10:00:00Z"
_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
_STATES = {"queued": "queued", "running": "processing"}
_REFERENCES = ("url", "data", "generation_id", "file_id")
_FAILURES = {
    "failed": ("generation_failed", "Generation failed"),
    "moderated": ("content_moderated", "Prompt was rejected"),
    "exhausted": ("budget_exhausted", "Credits ran out"),
    "corrupt": ("corrupt_input", "The image could not be read"),
}
_REFUSALS = {"no_credit": (402, "Insufficient credits"), "limited": (429, "Rate limit exceeded")}


class LumaSimulator(Simulator):
    """Answers as agents.lumalabs.ai does; any key of the form `Bearer ...` is good."""

    name = "luma"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", *_FAILURES, *_REFUSALS)

    files: dict[str, str]
    """The states of the files that were asked to be uploaded, by their names."""

    def start(self) -> Self:
        """Take a port and listen on it, without files."""
        self.files = {}
        return super().start()

    def routes(self) -> Sequence[Route]:
        """Return the calls for generations and files."""
        file = r"(?:/v1)?/files/(?P<id>[^/.]+)"
        return (
            Route("GET", r"(?:/v1)?/generations/(?P<id>[^/]+)", "status", self._status),
            Route("POST", r"(?:/v1)?/generations", "submit", self._submit),
            Route("POST", r"(?:/v1)?/files", "upload", self._upload),
            Route("PUT", r"/storage/(?P<id>[^/]+)", "storage", self._store, needs_key=False),
            Route("POST", f"{file}/complete", "complete", self._complete),
            Route("GET", file, "check", self._check),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return Answer(401, self.error_body("Invalid or missing API key"))

    def not_found(self, call: Call) -> Answer:
        """Return the answer about what is not there."""
        return Answer(404, self.error_body("Generation not found"))

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Luma writes one."""
        return {"detail": text}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        width, height = _SHAPES.get(str(job.input.get("aspect_ratio")), _SHAPES["16:9"])
        return Video(_FPS * _seconds(_options(job.input)), float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        problem = _problem(body) or self._problem_of_files(body)
        if problem is not None:
            return Answer(400, self.error_body(problem))
        if self.outcome in _REFUSALS:
            status, words = _REFUSALS[self.outcome]
            return Answer(status, self.error_body(words))
        job = self.accept(str(body["model"]), body)
        return Answer(201, self._said(job, "queued"))

    def _status(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        stage = self.poll(job)
        if stage != "done":
            return Answer(200, self._said(job, _STATES[stage]))
        if self.outcome in _FAILURES:
            code, words = _FAILURES[self.outcome]
            why: dict[str, JsonValue] = {"failure_code": code, "failure_reason": words}
            return Answer(200, {**self._said(job, "failed"), **why})
        output: JsonValue = [{"type": "video", "url": f"{self.video_url(job)}?X-Amz-Expires=3600"}]
        return Answer(200, {**self._said(job, "completed"), "output": output})

    def _said(self, job: SimulatedJob, state: str) -> dict[str, JsonValue]:
        kind = job.input.get("type")
        known = {"id": job.id, "created_at": _CREATED, "model": job.model}
        return {**known, "type": kind, "state": state}

    def _upload(self, call: Call) -> Answer:
        body = call.json()
        for name, kind in (("mime_type", str), ("size_bytes", int)):
            if not isinstance(body.get(name), kind):
                return Answer(400, self.error_body(f"{name} is missing"))
        name = f"file-{len(self.files)}"
        self.files[name] = "waiting"
        headers: JsonValue = {"Content-Type": body["mime_type"]}
        place = {"method": "PUT", "url": f"{self.url}/storage/{name}", "headers": headers}
        return Answer(201, {**self._file(name, body), "upload": {**place, "expires_at": _CREATED}})

    def _file(self, name: str, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        state = "ready" if self.files[name] == "ready" else "pending"
        file: JsonValue = {"id": name, "state": state, "created_at": _CREATED, **body}
        return {"id": name, "state": state, "file": file}

    def _store(self, call: Call) -> Answer:
        is_keyless, name = "authorization" not in call.headers, call.arguments["id"]
        if not is_keyless or name not in self.files or not call.body:
            return Answer(403, b"")
        self.files[name] = "stored"
        return Answer(200, b"")

    def _complete(self, call: Call) -> Answer:
        name = call.arguments["id"]
        if self.files.get(name) != "stored":
            return Answer(409, self.error_body("the file was not uploaded"))
        self.files[name] = "pending"
        return Answer(200, {"id": name, "state": "pending"})

    def _check(self, call: Call) -> Answer:
        name = call.arguments["id"]
        if name not in self.files:
            return Answer(404, self.error_body("File not found"))
        state = self.files[name]
        self.files[name] = "ready" if state == "pending" else state
        return Answer(200, {"id": name, "state": state})

    def _problem_of_files(self, body: JsonValue) -> str | None:
        """Return which file within a submission is not ready."""
        inside = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
        if isinstance(body, dict) and "file_id" in body:
            return None if self.files.get(str(body["file_id"])) == "ready" else "file is not ready"
        return next(filter(None, map(self._problem_of_files, inside)), None)


def _options(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    video = body.get("video")
    return video if isinstance(video, dict) else {}


def _seconds(video: dict[str, JsonValue]) -> int:
    return int(str(video.get("duration", f"{_USUAL}s")).removesuffix("s"))


def _problem(body: dict[str, JsonValue]) -> str | None:
    """Return what is wrong with a submission."""
    kind, video = body.get("type"), _options(body)
    if not body.get("prompt"):
        return "prompt is missing"
    if not isinstance(body.get("model"), str):
        return "model is missing"
    if kind not in ("video", "video_edit", "video_reframe"):
        return "type is not supported"
    if body.get("aspect_ratio", "16:9") not in _SHAPES:
        return "aspect_ratio is not supported"
    if video.get("resolution", "720p") not in ("360p", "540p", "720p", "1080p"):
        return "video.resolution is not supported"
    if video.get("duration", "5s") not in ("5s", "10s"):
        return "video.duration is not supported"
    if kind == "video":
        return _problem_of_frames(video)
    if kind == "video_reframe" and "aspect_ratio" not in body:
        return "aspect_ratio is missing"
    return _problem_of_reference(body.get("source"), "source", of_video=True)


def _problem_of_frames(video: dict[str, JsonValue]) -> str | None:
    keyframes, indexes = video.get("keyframes"), video.get("keyframe_indexes")
    ends = [name for name in ("start_frame", "end_frame") if name in video]
    is_plain = video.get("hdr") is not True and video.get("duration", "5s") == "5s"
    if "edit" in video:
        return "video.edit is for video_edit"
    if ends and not is_plain:
        return f"video.{ends[0]} is for 5s without hdr"
    if video.get("loop") and not (is_plain and keyframes is None and "end_frame" not in video):
        return "video.loop is not supported here"
    if video.get("exr_export") and not video.get("hdr"):
        return "video.exr_export needs hdr"
    if keyframes is None and indexes is None:
        return next(filter(None, (_problem_of_reference(video[name], name) for name in ends)), None)
    if ends or not isinstance(keyframes, list) or not isinstance(indexes, list):
        return "video.keyframes and video.keyframe_indexes exclude frames, and belong together"
    places = [
        each for each in indexes if isinstance(each, int) and 0 <= each <= _FPS * _seconds(video)
    ]
    if not 1 <= len(keyframes) == len(set(places)) == len(indexes) <= 64:
        return "video.keyframe_indexes are not unique places, one for each keyframe"
    problems = (_problem_of_reference(each, "keyframes") for each in keyframes)
    return next(filter(None, problems), None)


def _problem_of_reference(value: JsonValue, name: str, *, of_video: bool = False) -> str | None:
    said = value if isinstance(value, dict) else {}
    if sum(each in said for each in _REFERENCES) != 1:
        return f"{name} needs exactly one of {', '.join(_REFERENCES)}"
    if ("data" in said or (of_video and "url" in said)) and not said.get("media_type"):
        return f"{name} needs a media_type"
    return None
