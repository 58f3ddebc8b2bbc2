"""MiniMax on this machine: tasks of both versions of its API, for tests and for experiments.

What the documents leave open is invented here: most words of errors, that a listed task does not
repeat its prompt, and the HTTP status with which an unknown task or a late cancelling is answered.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_FPS, _USUAL = 24, 5
_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "adaptive")
_ROLES = {
    "image_url": ("first_frame", "last_frame", "reference_image"),
    "video_url": ("reference_video", "base_video"),
    "audio_url": ("reference_audio",),
}
_OLDER_STATES = {"queued": "Queueing", "running": "Processing"}
_FAILURES = {
    "failed": ("1000", "internal error"),
    "moderated": ("1026", "input content is sensitive"),
}
_REFUSALS = {
    "rejected": (
        422,
        "unprocessable_entity_error",
        1026,
        "video description contains sensitive content",
    ),
    "no_credit": (402, "insufficient_balance_error", 1008, "insufficient balance"),
    "limited": (429, "rate_limit_error", 1002, "rate limit, please retry later"),
}


class MiniMaxSimulator(Simulator):
    """Answers as api.minimax.io does; any key of the form `Bearer ...` is good."""

    name = "minimax"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "expired", *_FAILURES, *_REFUSALS)

    def routes(self) -> Sequence[Route]:
        """Return the calls of version 2, then those of version 1."""
        newer, older = "/v2/query/video_generation", "/v1/query/video_generation"
        return (
            Route("GET", rf"{newer}/(?P<id>[^/]+)", "status", self._status),
            Route("GET", newer, "list", self._list),
            Route("DELETE", r"/v2/video_generation/(?P<id>[^/]+)", "cancel", self._cancel),
            Route("POST", "/v2/video_(?P<kind>generation|regeneration)", "submit", self._submit),
            Route("POST", "/v1/video_generation", "submit", self._submit_older),
            Route("GET", older, "status", self._status_older),
            Route("GET", "/v1/files/retrieve", "result", self._file),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        return _refuse(401, "authorized_error", 1004, "login fail")

    def not_found(self, call: Call) -> Answer:
        """Return the answer about a task that is not there."""
        return _refuse(400, "bad_request_error", 2013, "record not found", shows_code=False)

    def error_body(self, text: str) -> JsonValue:
        """Return an error as MiniMax writes one."""
        return {"error": {"type": "error", "message": text, "http_code": "400"}, "request_id": "r"}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        width, height = _SHAPES.get(str(job.input.get("ratio")), _SHAPES["16:9"])
        return Video(_FPS * _seconds(job), float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body, kind = call.json(), call.arguments["kind"]
        problem = _problem(body, kind)
        if problem is not None:
            return _refuse(400, "bad_request_error", 2013, f"invalid params, {problem}")
        if self.outcome in _REFUSALS:
            return _refuse(*_REFUSALS[self.outcome])
        job = self.accept(str(body["model"]), {**body, "version": 2, "task_type": kind})
        return Answer(200, {"task_id": job.id})

    def _status(self, call: Call) -> Answer:
        job = self._find(call.arguments["id"], 2)
        if job is None:
            return self.not_found(call)
        return Answer(200, {"task": self._task(job, self.poll(job))})

    def _list(self, call: Call) -> Answer:
        jobs = [job for job in self.jobs.values() if job.input["version"] == 2][::-1]
        page, size = int(call.query.get("page_num", "1")), int(call.query.get("page_size", "20"))
        shown = jobs[(page - 1) * size : page * size]
        items: JsonValue = [self._task(job, self.stage(job)) for job in shown]
        return Answer(200, {"items": items, "total": len(jobs)})

    def _cancel(self, call: Call) -> Answer:
        job = self._find(call.arguments["id"], 2)
        if job is None:
            return self.not_found(call)
        stage = self.stage(job)
        if job.is_cancelled or stage == "running":
            return _refuse(400, "bad_request_error", 2013, "the task cannot be cancelled")
        if stage == "done":
            del self.jobs[job.id]
            return Answer(200, {"task_id": job.id, "status": "deleted"})
        job.is_cancelled = True
        return Answer(200, {"task_id": job.id, "status": "cancelled"})

    def _task(self, job: SimulatedJob, stage: str) -> dict[str, JsonValue]:
        created = int(job.created_at)
        said: dict[str, JsonValue] = {"id": job.id, "model": job.model}
        if job.is_cancelled:
            return {**said, "status": "cancelled", "created_at": created}
        if stage != "done":
            return {**said, "status": stage, "created_at": created}
        if self.outcome == "expired":
            return {**said, "status": "expired", "created_at": created}
        if self.outcome in _FAILURES:
            code, words = _FAILURES[self.outcome]
            return {"id": job.id, "status": "failed", "error": {"code": code, "message": words}}
        seconds = _seconds(job)
        usage: JsonValue = {"total_seconds": seconds, "input_seconds": 0, "output_seconds": seconds}
        return {
            **said,
            "status": "succeeded",
            "created_at": created,
            "updated_at": created + 200,
            "content": {"url": self.video_url(job)},
            "resolution": job.input.get("resolution", "768P"),
            "duration": seconds,
            "ratio": job.input.get("ratio", "16:9"),
            "usage": usage,
        }

    def _submit_older(self, call: Call) -> Answer:
        body = call.json()
        problem = _problem_of_older(body)
        if problem is not None:
            return Answer(200, {"task_id": "", **_base(2013, f"invalid params, {problem}")})
        if self.outcome in _REFUSALS:
            _, _, code, words = _REFUSALS[self.outcome]
            return Answer(200, {"task_id": "", **_base(code, words)})
        job = self.accept(str(body["model"]), {**body, "version": 1})
        return Answer(200, {"task_id": job.id, **_base(0, "success")})

    def _status_older(self, call: Call) -> Answer:
        job = self._find(call.query.get("task_id", ""), 1)
        if job is None:
            return Answer(200, _base(2013, "record not found"))
        stage, said = self.poll(job), {"task_id": job.id}
        if stage != "done":
            state = {"status": _OLDER_STATES[stage], "file_id": ""}
            return Answer(200, {**said, **state, **_base(0, "success")})
        if self.outcome in (*_FAILURES, "expired"):
            code = (1027, "output content is sensitive") if self.outcome == "moderated" else None
            return Answer(
                200, {**said, "status": "Fail", "file_id": "", **_base(*(code or (0, "success")))}
            )
        video = self.video(job)
        size: dict[str, JsonValue] = {"video_width": video.width, "video_height": video.height}
        state = {"status": "Success", "file_id": f"f-{job.id}"}
        return Answer(200, {**said, **state, **size, **_base(0, "success")})

    def _file(self, call: Call) -> Answer:
        job = self._find(call.query.get("file_id", "").removeprefix("f-"), 1)
        if job is None:
            return Answer(200, _base(2013, "file not found"))
        file: dict[str, JsonValue] = {
            "file_id": f"f-{job.id}",
            "bytes": 0,
            "created_at": int(job.created_at),
            "filename": "output.mp4",
            "purpose": "video_generation",
            "download_url": self.video_url(job),
        }
        return Answer(200, {"file": file, **_base(0, "success")})

    def _find(self, name: str, version: int) -> SimulatedJob | None:
        job = self.jobs.get(name)
        return job if job is not None and job.input["version"] == version else None


def _refuse(status: int, kind: str, code: int, words: str, *, shows_code: bool = True) -> Answer:
    message = f"{words} ({code})" if shows_code else words
    error: JsonValue = {"type": kind, "message": message, "http_code": str(status)}
    return Answer(status, {"type": "error", "error": error, "request_id": "0217852290155"})


def _base(code: int, words: str) -> dict[str, JsonValue]:
    return {"base_resp": {"status_code": code, "status_msg": words}}


def _seconds(job: SimulatedJob) -> int:
    return int(str(job.input.get("duration", _USUAL)))


def _problem(body: dict[str, JsonValue], kind: str) -> str | None:
    """Return what is wrong with a submission of version 2."""
    if not isinstance(body.get("model"), str):
        return "model is required"
    if kind == "regeneration":
        if ("source_task_id" in body) == ("content" in body):
            return "give either source_task_id or content"
        if body.get("resolution") != "2K":
            return "resolution must be 2K"
        return None if "source_task_id" in body else _problem_of_content(body.get("content"))
    duration = body.get("duration", _USUAL)
    if not isinstance(duration, int) or not 4 <= duration <= 15:
        return "duration must be an integer of 4 to 15"
    if body.get("resolution", "768P") not in ("480P", "768P", "2K"):
        return "resolution is not supported"
    if body.get("ratio", "16:9") not in _SHAPES:
        return "ratio is not supported"
    return _problem_of_content(body.get("content"))


def _problem_of_content(content: JsonValue) -> str | None:
    items = (
        [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    )
    if not any(each.get("type") == "text" and each.get("text") for each in items):
        return "content must include a non-empty text item (prompt is required)"
    media = [each for each in items if each.get("type") != "text"]
    for each in media:
        kind = str(each.get("type"))
        place = each.get(kind)
        if each.get("role") not in _ROLES.get(kind, ()):
            return f"content has a {kind} of an unknown role"
        if not isinstance(place, dict) or not isinstance(place.get("url"), str):
            return f"content has a {kind} without url"
    roles = [str(each["role"]) for each in media]
    frames = [role for role in roles if role in ("first_frame", "last_frame")]
    references = [role for role in roles if role.startswith("reference_")]
    if frames and references:
        return "content mixes frames and references"
    if frames == ["last_frame"]:
        return "content has a last_frame and no first_frame"
    most = {"reference_image": 9, "reference_video": 3, "reference_audio": 3}
    return next(
        (f"content has too many {role}" for role, n in most.items() if roles.count(role) > n), None
    )


def _problem_of_older(body: dict[str, JsonValue]) -> str | None:
    """Return what is wrong with a submission of version 1."""
    model = str(body.get("model", ""))
    if not model:
        return "model is required"
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or len(prompt) > 2000:
        return "prompt must have up to 2000 characters"
    if body.get("duration", 6) not in (6, 10):
        return "duration must be 6 or 10"
    if body.get("resolution", "768P") not in ("512P", "720P", "768P", "1080P"):
        return "resolution is not supported"
    if body.get("resolution") == "1080P" and body.get("duration", 6) != 6:
        return "1080P is made for 6 s only"
    needs = {"I2V": "first_frame_image", "S2V": "subject_reference"}.get(model[:3])
    return f"{needs} is required" if needs and not body.get(needs) else None
