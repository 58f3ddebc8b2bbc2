"""Replicate on this machine: its predictions as documented, for tests and for trying things out.

Of the answer to an upload only what names the file is simulated.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes

_FAILED = "CUDA out of memory"
_MODERATED = (
    "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
)
_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4")
_MOST_FRAMES = 5000
_FILES_KEPT = 24 * 3600  # seconds
_STEPS = 20


class ReplicateSimulator(Simulator):
    """Answers as api.replicate.com does; any key of the form `Bearer ...` is good."""

    name = "replicate"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "listed", "failed", "moderated", "removed")

    def routes(self) -> Sequence[Route]:
        """Return the calls for predictions."""
        prediction = r"(?:/v1)?/predictions/(?P<id>[^/]+)"
        model = r"(?:/v1)?/(?:models|deployments)/(?P<model>[^/]+/[^/]+)/predictions"
        return (
            Route("POST", f"{prediction}/cancel", "cancel", self._cancel),
            Route("GET", prediction, "status", self._status),
            Route("POST", model, "submit", self._submit),
            Route("POST", r"(?:/v1)?/predictions", "submit", self._submit),
            Route("POST", r"(?:/v1)?/files", "upload", self._upload),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Bearer ...`."""
        if call.has_bearer:
            return None
        said = "You did not pass a valid authentication token"
        return Answer(401, {"title": "Unauthenticated", "detail": said, "status": 401})

    def error_body(self, text: str) -> JsonValue:
        """Return a problem as Replicate words it."""
        return {"title": "Problem", "detail": text}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        fields = _input(job)
        fps = float(str(fields.get("frames_per_second", 24)))
        frames, seconds = fields.get("num_frames"), fields.get("duration", 5)
        made = frames if isinstance(frames, int) else round(fps * float(str(seconds)))
        width, height = _SHAPES.get(str(fields.get("aspect_ratio")), _SHAPES["16:9"])
        return Video(max(1, min(made, _MOST_FRAMES)), fps, width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        fields = call.json().get("input")
        if not isinstance(fields, dict):
            said = "- input: must be an object"
            problem: JsonValue = {"title": "Input validation failed", "detail": said, "status": 422}
            return Answer(422, problem)
        model = call.arguments.get("model") or call.json().get("version")
        if not isinstance(model, str):
            said = "- version is required"
            return Answer(422, {"title": "Invalid request", "detail": said, "status": 422})
        job = self.accept(model, call.json())
        return Answer(201, self._prediction(job, "starting"))

    def _upload(self, call: Call) -> Answer:
        if b'name="content"' not in call.body:
            said = "content is missing"
            return Answer(400, {"title": "Invalid request", "detail": said, "status": 400})
        name = f"file-{len(self.calls('upload')):08x}"
        about: dict[str, JsonValue] = {"content_type": "application/octet-stream", "metadata": {}}
        digest = hashlib.sha256(call.body).hexdigest()
        file: dict[str, JsonValue] = {
            "id": name,
            "name": name,
            **about,
            "size": len(call.body),
            "etag": digest[:24],
            "checksums": {"sha256": digest},
            "created_at": _written(time.time()),
            "expires_at": _written(time.time() + _FILES_KEPT),
            "urls": {"get": f"{self.url}/v1/files/{name}"},
        }
        return Answer(201, file)

    def _status(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        if job.is_cancelled:
            return Answer(200, self._prediction(job, "canceled"))
        match self.poll(job):
            case "queued":
                return Answer(200, self._prediction(job, "starting"))
            case "running":
                return Answer(200, self._prediction(job, "processing"))
        return Answer(200, self._end(job))

    def _cancel(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return self.not_found(call)
        job.is_cancelled = job.is_cancelled or self.stage(job) != "done"
        return Answer(
            200, self._prediction(job, "canceled") if job.is_cancelled else self._end(job)
        )

    def _end(self, job: SimulatedJob) -> JsonValue:
        match self.outcome:
            case "failed":
                return self._prediction(job, "failed", error=_FAILED)
            case "moderated":
                return self._prediction(job, "failed", error=_MODERATED)
            case "removed":  # as it is an hour later
                return self._prediction(job, "succeeded", data_removed=True, logs="")
            case "listed":
                urls: list[JsonValue] = [self.video_url(job)]
                return self._prediction(job, "succeeded", output=urls)
        return self._prediction(job, "succeeded", output=self.video_url(job))

    def _prediction(self, job: SimulatedJob, state: str, **more: JsonValue) -> JsonValue:
        address = f"{self.url}/v1/predictions/{job.id}"
        has_begun, is_over = job.polls > self.queued_polls, state not in ("starting", "processing")
        urls: dict[str, JsonValue] = {"get": address, "cancel": f"{address}/cancel"}
        metrics: JsonValue = {"predict_time": 38.1, "total_time": 40.4}
        return {
            "id": job.id,
            "model": job.model,
            "version": "hidden",
            "status": state,
            "input": _input(job),
            "output": None,
            "logs": self._logs(job) if has_begun else "",
            "error": None,
            "data_removed": False,
            "created_at": _written(job.created_at),
            "started_at": _written(job.created_at + 2) if has_begun else None,
            "completed_at": _written(time.time()) if is_over else None,
            **({"metrics": metrics} if state == "succeeded" else {}),
            "urls": urls,
            **more,
        }

    def _logs(self, job: SimulatedJob) -> str:
        share = min(1.0, (job.polls - self.queued_polls) / (self.running_polls + 1))
        step = round(_STEPS * share)
        return f" {100 * step // _STEPS}%|{'#' * (step // 2):<10}| {step}/{_STEPS}"


def _input(job: SimulatedJob) -> dict[str, JsonValue]:
    fields = job.input.get("input")
    return fields if isinstance(fields, dict) else {}


def _written(moment: float) -> str:
    date = datetime.fromtimestamp(moment, UTC)
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03}Z"
