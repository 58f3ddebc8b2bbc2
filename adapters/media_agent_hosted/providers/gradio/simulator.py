"""A Gradio app on this machine, for tests and experiments: the routes that its clients call.

It has one endpoint, /generate, which gives a small video and the seed. The routes and messages are
those of a Gradio 6.31 app; the words of its errors are invented.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video

_BEAT = 0.05  # seconds between two messages
_STEPS = 4
_PARAMETERS = (("prompt", "string"), ("seed", "number"), ("frames", "number"), ("image", "object"))


class GradioSimulator(Simulator):
    """Answers as a Gradio app does; it takes any key, as most take none."""

    name = "gradio"
    gives_files = False
    outcomes: ClassVar[tuple[str, ...]] = (
        "completed",
        "failed",
        "nothing",
        "stopped",
        "full",
        "endless",
    )

    def routes(self) -> Sequence[Route]:
        """Return the calls of the API."""
        return (
            Route("GET", "/config", "config", self._config),
            Route("GET", "/gradio_api/info", "info", self._info),
            Route("POST", "/gradio_api/queue/join", "submit", self._join),
            Route("GET", "/gradio_api/queue/data", "status", self._listen),
            Route("POST", "/gradio_api/cancel", "cancel", self._cancel),
            Route("POST", "/gradio_api/reset", "reset", self._cancel),
            Route("POST", "/gradio_api/upload", "upload", self._upload),
            Route("GET", r"/gradio_api/file=/tmp/(?P<id>[^/]+)/v\.mp4", "content", self._file),
        )

    def video(self, job: SimulatedJob) -> Video:
        """Return a small video of the requested length."""
        data = job.input.get("data")
        frames = data[2] if isinstance(data, list) and len(data) > 2 else 8
        return Video(frames=frames if isinstance(frames, int) else 8, fps=8.0)

    def _config(self, call: Call) -> Answer:
        count = len(_PARAMETERS)
        components: list[JsonValue] = [
            {"id": number, "type": kind, "props": {}}
            for number, (_, kind) in enumerate(
                (*_PARAMETERS, ("video", "video"), ("seed", "number"))
            )
        ]
        dependency: JsonValue = {
            "id": 0,
            "targets": [],
            "inputs": [*range(count)],
            "outputs": [count, count + 1],
            "backend_fn": True,
            "api_name": "generate",
            "api_visibility": "public",
            "queue": True,
            "cancels": [],
            "types": {"generator": False, "cancel": False},
        }
        return Answer(
            200,
            {
                "version": "6.31.0",
                "api_prefix": "/gradio_api",
                "protocol": "sse_v3",
                "connect_heartbeat": False,
                "enable_queue": True,
                "components": components,
                "dependencies": [dependency],
                "root": self.url,
            },
        )

    def _info(self, call: Call) -> Answer:
        parameters: list[JsonValue] = [
            {
                "label": name,
                "parameter_name": name,
                "parameter_has_default": name == "image",
                "parameter_default": None,
                "type": {"type": kind},
                "python_type": {"type": kind, "description": ""},
                "component": "Textbox",
                "example_input": None,
            }
            for name, kind in _PARAMETERS
        ]
        about: JsonValue = {"parameters": parameters, "returns": [], "api_visibility": "public"}
        return Answer(200, {"named_endpoints": {"/generate": about}, "unnamed_endpoints": {}})

    def _join(self, call: Call) -> Answer:
        body = call.json()
        if self.outcome == "full":
            return Answer(503, {"detail": "Queue is full."})
        if not isinstance(body.get("data"), list):
            return Answer(422, {"detail": "data is missing"})
        job = self.accept("generate", body)
        del self.jobs[job.id]
        job.id = uuid.uuid4().hex
        self.jobs[job.id] = job
        return Answer(200, {"event_id": job.id})

    def _listen(self, call: Call) -> Answer:
        session = call.query.get("session_hash")
        jobs = [job for job in self.jobs.values() if job.input.get("session_hash") == session]
        if not jobs:
            return Answer(404, {"detail": "Session not found"})

        def converse(write: Callable[[bytes], object]) -> None:
            for message in self._messages(jobs[-1]):
                write(f"data: {json.dumps(message)}\n\n".encode())

        headers = {"Content-Type": "text/event-stream", "Connection": "close"}
        return Answer(200, headers=headers, converse=converse)

    def _cancel(self, call: Call) -> Answer:
        job = self.jobs.get(str(call.json().get("event_id")))
        if job is not None:
            job.is_cancelled = True
        return Answer(200, {"success": job is not None})

    def _upload(self, call: Call) -> Answer:
        return Answer(200, ["/tmp/upload/first_frame.png"])

    def _file(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return Answer(404, {"detail": "File not found"})
        return Answer(200, self.video_content(job), media_type="video/mp4")

    def _messages(self, job: SimulatedJob) -> Iterator[JsonValue]:
        """Yield what the app tells of a call: its place in the queue, its progress, its end."""
        event: dict[str, JsonValue] = {"event_id": job.id}
        for rank in reversed(range(self.queued_polls + 1)):
            yield {"msg": "estimation", **event, "rank": rank, "queue_size": rank + 1}
            self.wait(_BEAT)
        yield {"msg": "process_starts", **event, "eta": 1.0}
        step = 0
        while step < _STEPS or self.outcome == "endless":
            if job.is_cancelled or self._stopping.is_set():
                break
            unit: JsonValue = {
                "index": min(step, _STEPS - 1),
                "length": _STEPS,
                "unit": "steps",
                "progress": None,
                "desc": "denoise",
            }
            yield {"msg": "progress", **event, "progress_data": [unit]}
            self.wait(_BEAT)
            step += 1
        if self.outcome == "stopped":
            return
        yield {"msg": "process_completed", **event, **self._end(job)}
        yield {"msg": "close_stream", "event_id": None}

    def _end(self, job: SimulatedJob) -> dict[str, JsonValue]:
        if self.outcome == "failed":
            error: JsonValue = {"error": "no GPU left", "title": "Error", "duration": 10}
            return {"output": error, "success": False}
        if job.is_cancelled:
            return {"output": {"error": None}, "success": False}
        path = f"/tmp/{job.id}/v.mp4"
        file: JsonValue = {
            "path": path,
            "url": f"{self.url}/gradio_api/file={path}",
            "size": None,
            "orig_name": "v.mp4",
            "mime_type": None,
            "is_stream": False,
            "meta": {"_type": "gradio.FileData"},
        }
        data = job.input.get("data")
        seed = data[1] if isinstance(data, list) and len(data) > 1 else None
        given: list[JsonValue] = [None if self.outcome == "nothing" else file, seed]
        return {"output": {"data": given, "is_generating": False}, "success": True}
