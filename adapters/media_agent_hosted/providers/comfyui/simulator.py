"""A ComfyUI server on this machine, for tests and experiments: its documented routes and messages.

It checks no node types and computes nothing: a workflow runs node after node while the queue is
looked at, and its last node saves a small video. What the documentation leaves open is invented:
the words of the errors, and how many steps a node takes.
"""

import io
import uuid
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.providers.comfyui.simulated_socket import accept_socket

_STEPS = 20
_LOOK = 0.02  # seconds between two looks of the websocket at the work
_MOST_FRAMES = 500
_SAVED = {  # by outcome: the list that a node of this kind gives, and the end of the file's name
    "completed": ("images", "mp4"),
    "vhs": ("gifs", "mp4"),
    "webp": ("images", "webp"),
    "gif": ("gifs", "gif"),
    "sequence": ("images", "png"),
}


class ComfySimulator(Simulator):
    """Answers as a ComfyUI server does; it takes any key, as most take none."""

    name = "comfyui"
    gives_files = False
    outcomes: ClassVar[tuple[str, ...]] = (
        *_SAVED,
        "failed",
        "interrupted",
        "nothing",
        "invalid",
        "own_names",
        "quiet",
    )

    def routes(self) -> Sequence[Route]:
        """Return the calls, each with and without the prefix /api."""
        api = r"(?:/api)?"
        return (
            Route("GET", f"{api}/ws", "socket", self._socket),
            Route("POST", f"{api}/prompt", "submit", self._submit),
            Route("GET", f"{api}/queue", "status", self._queue),
            Route("POST", f"{api}/queue", "cancel", self._delete),
            Route("POST", f"{api}/interrupt", "cancel", self._interrupt),
            Route("GET", f"{api}/history/(?P<id>[^/]+)", "history", self._history),
            Route("GET", f"{api}/history", "history", self._all_history),
            Route("GET", f"{api}/view", "content", self._view),
            Route("POST", f"{api}/upload/image", "upload", self._upload),
        )

    def restart(self) -> None:
        """Forget all work, as a server does that is started again."""
        self.jobs.clear()

    def video(self, job: SimulatedJob) -> Video:
        """Return a small video with the frames that some node was asked for."""
        lengths = [inputs.get("length") for _, inputs in _nodes(job)]
        frames = next((each for each in lengths if isinstance(each, int)), 9)
        return Video(frames=max(1, min(frames, _MOST_FRAMES)), fps=16.0)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        graph = body.get("prompt")
        if not isinstance(graph, dict) or not graph:
            error: JsonValue = {
                "type": "no_prompt",
                "message": "No prompt provided",
                "details": "",
                "extra_info": {},
            }
            return Answer(400, {"error": error, "node_errors": {}})
        if self.outcome == "invalid":
            return Answer(400, _invalid(next(iter(graph))))
        asked = body.get("prompt_id")
        takes_name = isinstance(asked, str) and self.outcome != "own_names"
        job = self.accept("workflow", body)
        del self.jobs[job.id]
        job.id = str(asked) if takes_name else str(uuid.uuid4())
        self.jobs[job.id] = job
        return Answer(200, {"prompt_id": job.id, "number": len(self.jobs), "node_errors": {}})

    def _queue(self, call: Call) -> Answer:
        running: list[JsonValue] = []
        pending: list[JsonValue] = []
        for number, job in enumerate(self.jobs.values()):
            if job.is_cancelled or self.stage(job) == "done":
                continue
            stage = self.poll(job)
            if stage != "done":
                (running if stage == "running" else pending).append(_entry(number, job))
        return Answer(200, {"queue_running": running, "queue_pending": pending})

    def _delete(self, call: Call) -> Answer:
        names = call.json().get("delete")
        for name in names if isinstance(names, list) else ():
            job = self.jobs.get(str(name))
            if job is not None and self.stage(job) == "queued":
                job.is_cancelled = True
        return Answer(200, b"")

    def _interrupt(self, call: Call) -> Answer:
        wanted = call.json().get("prompt_id")
        for job in self.jobs.values():
            if self.stage(job) == "running" and wanted in (None, job.id):
                job.is_cancelled = True
        return Answer(200, b"")

    def _history(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        return Answer(200, {} if job is None else self._past(job))

    def _all_history(self, call: Call) -> Answer:
        return Answer(
            200,
            {name: past for job in self.jobs.values() for name, past in self._past(job).items()},
        )

    def _past(self, job: SimulatedJob) -> dict[str, JsonValue]:
        """Return the entry of work that is over; what was deleted from the queue has none."""
        if job.is_cancelled and job.polls <= self.queued_polls:
            return {}
        if not job.is_cancelled and self.stage(job) != "done":
            return {}
        nodes = [name for name, _ in _nodes(job)]
        started: JsonValue = ["execution_start", {"prompt_id": job.id, "timestamp": 0}]
        if job.is_cancelled or self.outcome == "interrupted":
            facts: JsonValue = {"prompt_id": job.id, "node_id": nodes[0], "executed": []}
            return {job.id: _ended(job, "error", [started, ["execution_interrupted", facts]], {})}
        if self.outcome == "failed":
            facts = {
                "prompt_id": job.id,
                "node_id": nodes[0],
                "node_type": "KSampler",
                "exception_type": "torch.OutOfMemoryError",
                "exception_message": "Allocation on device",
                "traceback": ["..."],
            }
            return {job.id: _ended(job, "error", [started, ["execution_error", facts]], {})}
        done: JsonValue = ["execution_success", {"prompt_id": job.id, "timestamp": 0}]
        outputs = {} if self.outcome == "nothing" else {nodes[-1]: self._saved(job)}
        return {job.id: _ended(job, "success", [started, done], outputs)}

    def _saved(self, job: SimulatedJob) -> JsonValue:
        """Return what the node gives that saves: where the files are."""
        names, end = _SAVED.get(self.outcome, _SAVED["completed"])
        count = self.video(job).frames if self.outcome == "sequence" else 1
        files: list[JsonValue] = [
            {"filename": f"{job.id}_{number:05d}_.{end}", "subfolder": "video", "type": "output"}
            for number in range(count)
        ]
        return {names: files, **({} if end == "png" else {"animated": [True]})}

    def _view(self, call: Call) -> Answer:
        name, _, rest = call.query.get("filename", "").partition("_")
        job, end = self.jobs.get(name), rest.rpartition(".")[2]
        if job is None or call.query.get("type") != "output":
            return Answer(404, b"")
        kind = "video/mp4" if end == "mp4" else f"image/{end}"
        return Answer(200, self._file(job, end, int(rest[:5])), media_type=kind)

    def _file(self, job: SimulatedJob, end: str, number: int) -> bytes:
        video = self.video(job)
        if end == "mp4":
            return make_video(video)
        from PIL import Image

        shades = range(video.frames) if end != "png" else [number]
        size = (video.width, video.height)
        images = [Image.new("RGB", size, (10 * shade % 256, 40, 90)) for shade in shades]
        file = io.BytesIO()
        more = (
            {"save_all": True, "append_images": images[1:], "duration": 60} if end != "png" else {}
        )
        images[0].save(file, end.upper(), **more)
        return file.getvalue()

    def _upload(self, call: Call) -> Answer:
        _, found, rest = call.body.partition(b'filename="')
        if not found:
            return Answer(400, b"")
        name = rest.partition(b'"')[0].decode()
        return Answer(200, {"name": name, "subfolder": "", "type": "input"})

    def _socket(self, call: Call) -> Answer:
        if self.outcome == "quiet":
            return Answer(404, b"")
        client = call.query.get("clientId", "")
        return accept_socket(call, lambda: self._messages(client))

    def _messages(self, client: str) -> Iterator[JsonValue]:
        """Yield what is told a client of its work while others look at the queue."""
        status: JsonValue = {"exec_info": {"queue_remaining": len(self.jobs)}}
        yield {"type": "status", "data": {"status": status, "sid": client}}
        seen = -1
        while not self._stopping.is_set():
            own = (job for job in self.jobs.values() if job.input.get("client_id") == client)
            job = next(own, None)
            if job is not None and (job.is_cancelled or self.stage(job) == "done"):
                yield _message("executing", job, node=None)
                return
            if job is not None and job.polls != seen and self.stage(job) == "running":
                if seen < 0:
                    yield _message("execution_start", job)
                    yield _message("execution_cached", job, nodes=[])
                seen = job.polls
                done = (seen - self.queued_polls - 1) / max(1, self.running_polls)
                node = _nodes(job)[int(done * len(_nodes(job)))][0]
                yield _message("executing", job, node=node, display_node=node)
                yield _message("progress", job, node=node, value=_STEPS // 2, max=_STEPS)
            self.wait(_LOOK)


def _nodes(job: SimulatedJob) -> list[tuple[str, dict[str, JsonValue]]]:
    """Return the ids of the nodes of a workflow, each with its inputs."""
    graph = job.input.get("prompt")
    found = []
    for name, node in graph.items() if isinstance(graph, dict) else ():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        found.append((name, inputs if isinstance(inputs, dict) else {}))
    return found


def _entry(number: int, job: SimulatedJob) -> JsonValue:
    """Return work as queue and history write it."""
    return [number, job.id, job.input.get("prompt"), job.input.get("extra_data"), []]


def _ended(
    job: SimulatedJob, word: str, messages: list[JsonValue], outputs: dict[str, JsonValue]
) -> JsonValue:
    status: JsonValue = {
        "status_str": word,
        "completed": word == "success",
        "messages": messages,
    }
    return {"prompt": _entry(0, job), "outputs": outputs, "status": status, "meta": {}}


def _invalid(node: str) -> JsonValue:
    """Return a workflow's refusal: a model that is not installed."""
    problem: JsonValue = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": "unet_name: 'wan2.1.safetensors' not in []",
        "extra_info": {},
    }
    wrong: JsonValue = {
        "errors": [problem],
        "dependent_outputs": [node],
        "class_type": "UNETLoader",
    }
    error: JsonValue = {
        "type": "prompt_outputs_failed_validation",
        "message": "Prompt outputs failed validation",
        "details": "",
        "extra_info": {},
    }
    return {"error": error, "node_errors": {node: wrong}}


def _message(kind: str, job: SimulatedJob, **data: JsonValue) -> JsonValue:
    return {"type": kind, "data": {"prompt_id": job.id, **data}}
