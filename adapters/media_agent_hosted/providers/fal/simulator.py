"""fal on this machine: its queue and its list as documented, for tests and for trying things out.

What the documents leave open is invented and marked so here: the state of a cancelled request, and
in the list: whether it has work that has not ended, which instants `start` and `end` are compared
with, how a cancelled request stands in it, and what it answers to senseless questions.
"""

import re
import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Fault, Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, small_shapes
from media_agent_hosted.models.facts import Fixed, Frames, HostedModel
from media_agent_hosted.providers.fal.backend import MODELS
from media_agent_hosted.providers.fal.simulated_list import ListedJob, list_page
from media_agent_schemas.request import VideoMode

_WORDS = (
    "The content could not be processed because it contained material flagged by a content checker."
)
_MOST_FRAMES = 5000
_SHAPES = small_shapes("16:9", "9:16", "1:1", "4:3", "3:4")


class FalSimulator(Simulator):
    """Answers as queue.fal.run does, and api.fal.ai below /v1; any key such as `Key ...` is good.

    Work goes on only when it is asked about: a poll asks about one request, and the first page of
    the list about all that are not over. So work that nobody polls ends as its list is read.
    """

    name = "fal"
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "failed", "moderated", "invalid", "empty")

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        outcome: str | None = None,
        queued_polls: int = 1,
        running_polls: int = 2,
        lists_unended: bool = False,
        stores_payloads: bool = True,
        port: int = 0,
    ) -> None:
        """Say what its list shows, and otherwise as for any simulator."""
        super().__init__(
            faults,
            outcome=outcome,
            queued_polls=queued_polls,
            running_polls=running_polls,
            port=port,
        )
        self.lists_unended = lists_unended
        self.stores_payloads = stores_payloads
        self._ended_at: dict[str, float] = {}  # when it was first seen to be over, by its name

    def routes(self) -> Sequence[Route]:
        """Return the calls; the submission takes what is left, and a result any other request."""
        request = r"/(?P<app>.+)/requests/(?P<id>[^/]+)"
        return (
            Route("GET", "/v1/models/requests/by-endpoint", "list", self._list),
            Route("GET", f"{request}/status", "status", self._status),
            Route("PUT", f"{request}/cancel", "cancel", self._cancel),
            Route("GET", request, "result", self._result),
            Route("POST", r"/(?P<model>[^/]+/.+)", "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever is not `Authorization: Key ...`."""
        if re.fullmatch(r"Key \S+", call.headers.get("authorization", "")):
            return None
        return Answer(401, self.error_body("Authentication is required to access this application"))

    def error_body(self, text: str) -> JsonValue:
        """Return an error as fal words it."""
        return {"detail": text}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        model = MODELS.by_id.get(job.model)
        named = (job.input.get(name) for name in ("frames_per_second", "frame_rate", "fps"))
        usual = 24.0 if model is None else float(model.rates.default)
        fps = next((float(each) for each in named if isinstance(each, int | float)), usual)
        frames = self._frames(job, model, fps)
        width, height = _SHAPES.get(str(job.input.get("aspect_ratio")), _SHAPES["16:9"])
        return Video(max(1, min(frames, _MOST_FRAMES)), fps, width, height, job.shade)

    def _frames(self, job: SimulatedJob, model: HostedModel | None, fps: float) -> int:
        said, source = job.input.get("num_frames"), _source_of(job)
        made = said if isinstance(said, int) else self._usual_frames(job, model, fps)
        if source is None:
            return made
        known = self.count_source_frames(source, 96)
        if model is None or model.modes != (VideoMode.VIDEO_EXTEND,):  # it is changed
            return said if isinstance(said, int) else known
        overlap = model.length.overlap if isinstance(model.length, Frames) else 0
        start = job.input.get("start_frame")
        return (start if isinstance(start, int) else max(0, known - overlap)) + made

    def _usual_frames(self, job: SimulatedJob, model: HostedModel | None, fps: float) -> int:
        if model is not None and isinstance(model.length, Fixed):
            return model.length.frames
        seconds = re.match(r"\d+", str(job.input.get("duration", "")))
        return round(fps * (int(seconds[0]) if seconds else 5))

    def _submit(self, call: Call) -> Answer:
        if not call.json():
            fault: JsonValue = {"loc": ["body"], "msg": "not an object", "type": "json_invalid"}
            return Answer(422, {"detail": [fault]})
        job = self.accept(call.arguments["model"], call.json())
        addresses = self._addresses(job)
        return Answer(
            200,
            {
                "status": "IN_QUEUE",
                "request_id": job.id,
                **addresses,
                "queue_position": max(0, self.queued_polls - 1),
            },
        )

    def _status(self, call: Call) -> Answer:
        job = self._job(call)
        if job is None:
            return self.not_found(call)
        stage = self.poll(job)
        common: dict[str, JsonValue] = {
            "request_id": job.id,
            "response_url": self._addresses(job)["response_url"],
        }
        logs: JsonValue = None
        if job.is_cancelled:  # invented: the documents do not say
            gone = {"error": "Request was cancelled", "error_type": "client_cancelled"}
            return Answer(200, {"status": "COMPLETED", **common, **gone})
        if stage == "queued":
            left = self.queued_polls - job.polls
            return Answer(202, {"status": "IN_QUEUE", **common, "queue_position": left})
        if stage == "running":
            if call.query.get("logs") == "1":
                step = job.polls - self.queued_polls
                logs = [{"message": f"step {step}", "level": "INFO", "timestamp": _TIME}]
            return Answer(202, {"status": "IN_PROGRESS", **common, "logs": logs})
        if self.outcome == "failed":
            return Answer(200, {"status": "COMPLETED", **common, **_FAILURE})
        metrics: JsonValue = {"inference_time": 41.2}
        return Answer(200, {"status": "COMPLETED", **common, "logs": None, "metrics": metrics})

    def _result(self, call: Call) -> Answer:
        job = self._job(call)
        if job is None:
            return self.not_found(call)
        if self.stage(job) != "done":
            return Answer(400, self.error_body("Request is still in progress"))
        match self.outcome:
            case "failed":
                kind = _FAILURE["error_type"]
                return Answer(503, {"detail": _FAILURE["error"], "error_type": kind})
            case "moderated":
                return Answer(422, _detail("prompt", _WORDS, "content_policy_violation", job))
            case "invalid":
                return Answer(422, _detail("duration", "not a good value", "value_error", job))
            case "empty":
                return Answer(200, {"images": []})
        size = len(self.video_content(job))
        video: JsonValue = {
            "url": self.video_url(job),
            "content_type": "video/mp4",
            "file_name": f"{job.id}.mp4",
            "file_size": size,
        }
        seed = job.input.get("seed", 7)
        return Answer(200, {"video": video, "seed": seed})

    def _list(self, call: Call) -> Answer:
        if "cursor" not in call.query:
            for job in self.jobs.values():
                if not self._is_over(job):
                    self.poll(job)
        try:
            page = list_page([self._listed(job) for job in self.jobs.values()], call.query)
        except ValueError as error:  # invented: how it refuses
            return Answer(400, self.error_body(str(error)))
        return Answer(200, page)

    def _listed(self, job: SimulatedJob) -> ListedJob:
        if self._is_over(job):
            self._ended_at.setdefault(job.id, time.time())
        status = 499 if job.is_cancelled else _STATUS_CODES[self.outcome]  # invented: 499
        return ListedJob(
            name=job.id,
            endpoint=job.model,
            sent_at=job.created_at,
            ended_at=self._ended_at.get(job.id),
            status=status,
            is_shown=self.lists_unended or self._is_over(job),
            input=job.input if self.stores_payloads else None,
            output={"video": {"url": self.video_url(job)}} if status == 200 else None,
        )

    def _is_over(self, job: SimulatedJob) -> bool:
        return job.is_cancelled or self.stage(job) == "done"

    def _cancel(self, call: Call) -> Answer:
        job = self._job(call)
        if job is None:
            return Answer(404, {"status": "NOT_FOUND"})
        if self.stage(job) == "done" and job.polls:
            return Answer(400, {"status": "ALREADY_COMPLETED"})
        job.is_cancelled = self.stage(job) == "queued"  # work that has started continues
        return Answer(202, {"status": "CANCELLATION_REQUESTED"})

    def _job(self, call: Call) -> SimulatedJob | None:
        job = self.jobs.get(call.arguments["id"])
        return job if job is not None and _app_of(job.model) == call.arguments["app"] else None

    def _addresses(self, job: SimulatedJob) -> dict[str, JsonValue]:
        """Return the addresses of a request; they name the app only, not what is below it."""
        base = f"{self.url}/{_app_of(job.model)}/requests/{job.id}"
        return {
            "response_url": base,
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
        }


_TIME = "2026-11-20T10:00:00Z"
_STATUS_CODES = {"completed": 200, "failed": 503, "moderated": 422, "invalid": 422, "empty": 200}
_FAILURE: dict[str, JsonValue] = {
    "error": "Runner disconnected",
    "error_type": "runner_disconnected",
}


def _source_of(job: SimulatedJob) -> str | None:
    """Return the address of the video that is continued or changed."""
    said = job.input.get("video")
    address = said.get("video_url") if isinstance(said, dict) else job.input.get("video_url")
    return address if isinstance(address, str) else None


def _app_of(model: str) -> str:
    parts = model.split("/")
    return "/".join(parts[: 3 if parts[0] in ("workflows", "comfy") else 2])


def _detail(name: str, words: str, kind: str, job: SimulatedJob) -> JsonValue:
    given: JsonValue = {"prompt": job.input.get("prompt")}
    return {"detail": [{"loc": ["body", name], "msg": words, "type": kind, "input": given}]}
