"""The base of provider simulators: a real HTTP server on this machine, with faults on demand.

A subclass lists its routes and answers them as the provider's documents say. Counting, faults, the
video files and `GET /__simulator__`, which tells the counts to another process, are done here.

    with FalSimulator(faults=[Fault("submit", "close_after_accept")]) as simulator:
        ...                     # an adapter with base_url = simulator.url
    assert simulator.accepted == 1
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import ClassVar, Literal, Self

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.suggest import did_you_mean
from media_agent.testing.simulator.faults import ArmedFaults, Fault
from media_agent.testing.simulator.server import Answer, Call, Route, SimulatorServer, find_route
from media_agent.testing.simulator.spoil import spoil
from media_agent.testing.simulator.videos import Video, count_frames, make_video

_LAST_PORT = 65535
_REQUESTS_KEPT = 10_000
_COUNTS, _FILE = "counts", "file"


@dataclass(slots=True)
class SimulatedJob:
    """A submission that was accepted."""

    id: str
    model: str
    input: dict[str, JsonValue]
    key: str | None
    created_at: float  # seconds since 1970
    polls: int = 0
    is_cancelled: bool = False

    @property
    def shade(self) -> int:
        """How light its video is, so that one job's differs from another's."""
        return int(self.id[-4:], 16) * 40 % 200


class Simulator(ABC):
    """One provider on this machine; listens from `start` to `stop`, or within `with`."""

    name: ClassVar[str]
    honours_keys: ClassVar[bool] = False
    """Whether a second submission under the same key is the first one again."""
    gives_files: bool = True
    """Whether videos are fetched from `video_url`, so that the call "file" can go wrong."""
    scale: int = 1
    """How many times as wide and high its videos are; 1, for tests, makes tiny ones."""
    outcomes: ClassVar[tuple[str, ...]] = ("completed",)
    """The ways in which jobs can end, the usual one first."""

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        outcome: str | None = None,
        queued_polls: int = 1,
        running_polls: int = 2,
        port: int = 0,
    ) -> None:
        """Say what will go wrong, how jobs end, and after how many polls.

        Raises:
            InvalidRequestError: there is no such outcome, port, or call to go wrong.
        """
        self.outcome = self.outcomes[0] if outcome is None else outcome
        if self.outcome not in self.outcomes:
            raise InvalidRequestError(
                f"{self.name} has no outcome {outcome!r}",
                hint=did_you_mean(self.outcome, self.outcomes),
            )
        if not 0 <= port <= _LAST_PORT:
            raise InvalidRequestError(f"port {port} is not within 0 to {_LAST_PORT}")
        self._faults = ArmedFaults(faults)
        self.queued_polls = queued_polls
        self.running_polls = running_polls
        self.jobs: dict[str, SimulatedJob] = {}
        self.requests: list[Call] = []
        self._port = port
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._server: SimulatorServer | None = None
        self._all_routes = (
            *self.routes(),
            Route("GET", "/__simulator__", _COUNTS, self._answer_counts, needs_key=False),
            Route("GET", r"/files/(?P<id>[^/]+)\.mp4", _FILE, self._answer_file, needs_key=False),
        )
        self._check_faults()

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """Return the calls of the API, most special first."""

    def refusal(self, call: Call) -> Answer | None:
        """Return the answer to a call whose key is wrong; None lets it through."""
        return None

    def not_found(self, call: Call) -> Answer:
        """Return the answer to a call that no route takes."""
        return Answer(404, self.error_body(f"there is no {call.method} {call.path}"))

    def error_body(self, text: str) -> JsonValue:
        """Return an error in the provider's own shape."""
        return {"error": {"message": text}}

    def video(self, job: SimulatedJob) -> Video:
        """Return the measures of what a job makes."""
        return Video()

    @property
    def url(self) -> str:
        """Where it listens."""
        if self._server is None:
            raise InvalidRequestError(f"the simulator {self.name} was not started")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def accepted(self) -> int:
        """Submissions accepted so far."""
        return len(self.jobs)

    def calls(self, name: str) -> list[Call]:
        """Return the requests of one name."""
        return [call for call in self.requests if call.name == name]

    def accept(
        self, model: str, body: dict[str, JsonValue], key: str | None = None
    ) -> SimulatedJob:
        """Take a submission on; one under a known key is the first one again, where honoured."""
        if self.honours_keys and key is not None:
            for job in self.jobs.values():
                if job.key == key:
                    return job
        job = SimulatedJob(f"{self.name}-{len(self.jobs):08x}", model, body, key, time.time())
        self.jobs[job.id] = job
        return job

    def poll(self, job: SimulatedJob) -> Literal["queued", "running", "done"]:
        """Count one look at a job and say how far it is."""
        job.polls += 1
        return self.stage(job)

    def stage(self, job: SimulatedJob) -> Literal["queued", "running", "done"]:
        """Say how far a job is, without counting."""
        if job.polls <= self.queued_polls:
            return "queued"
        return "running" if job.polls <= self.queued_polls + self.running_polls else "done"

    @property
    def video_call(self) -> str | None:
        """The name of the call that gives a video; None where nothing like it is here."""
        names = {route.name for route in self._all_routes}
        return _FILE if self.gives_files else next(iter(names & {"content"}), None)

    def video_content(self, job: SimulatedJob) -> bytes:
        """Return the file that a job made."""
        video = self.video(job)
        width, height = video.width * self.scale, video.height * self.scale
        return make_video(replace(video, width=width, height=height))

    def count_source_frames(self, address: str, otherwise: int) -> int:
        """Return the frames of a video that is continued: one of ours, inline, or unknown."""
        job = self.jobs.get(address.rpartition("/")[2].removesuffix(".mp4"))
        return self.video(job).frames if job else count_frames(address) or otherwise

    def video_url(self, job: SimulatedJob) -> str:
        """Return where the video of a job can be fetched, without a key."""
        return f"{self.url}/files/{job.id}.mp4"

    def start(self) -> Self:
        """Take a port and listen on it, unless a fault refuses connections.

        Raises:
            StorageError: the port is taken.
        """
        try:
            self._server = SimulatorServer(self.serve, self.wait, self._port)
        except OSError as error:
            raise StorageError(
                f"port {self._port} cannot be used: {error.strerror}", hint="choose another port"
            ) from error
        if not self._faults.refuse_connections:
            self.listen()
        return self

    def listen(self) -> None:
        """Take connections from now on."""
        if self._server is not None:
            self._server.begin()

    def stop(self) -> None:
        """Stop listening and wake whatever is being delayed."""
        self._stopping.set()
        server, self._server = self._server, None
        if server is not None:
            server.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def inject(self, *faults: Fault) -> None:
        """Inject this fault from now on, in addition to those already injected."""
        with self._lock:
            self._faults.add(faults)
            self._check_faults()

    def clear_faults(self) -> None:
        """Let nothing go wrong from now on."""
        with self._lock:
            self._faults.clear()

    def report_counts(self) -> dict[str, JsonValue]:
        """Return what `GET /__simulator__` tells."""
        with self._lock:
            calls = Counter(call.name for call in self.requests)
            jobs: list[JsonValue] = [
                {"id": job.id, "model": job.model, "key": job.key, "cancelled": job.is_cancelled}
                for job in self.jobs.values()
            ]
            return {"name": self.name, "accepted": self.accepted, "calls": {**calls}, "jobs": jobs}

    def serve(self, call: Call) -> tuple[Answer | None, Fault | None]:
        """Answer a call and say which fault strikes; no answer means to hang up."""
        with self._lock:
            call, route = find_route(call, self._all_routes)
            if route is not None and route.name == _COUNTS:
                return route.handler(call), None
            if len(self.requests) < _REQUESTS_KEPT:
                self.requests.append(call)
            fault = self._faults.take(call.name)
            if fault is None:
                return self._answer(call, route), None
            answer = self._answer(call, route) if fault.takes_effect else None
            if fault.kind == "duplicate":
                answer = self._answer(call, route)
            return spoil(answer, fault, call, self.error_body), fault

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the simulator lives."""
        self._stopping.wait(seconds)

    def _answer(self, call: Call, route: Route | None) -> Answer:
        refused = self.refusal(call) if route is None or route.needs_key else None
        if refused is not None:
            return refused
        return self.not_found(call) if route is None else route.handler(call)

    def _answer_counts(self, call: Call) -> Answer:
        return Answer(200, self.report_counts())

    def _answer_file(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return Answer(404, b"no such file", media_type="text/plain")
        return Answer(200, self.video_content(job), media_type="video/mp4")

    def _check_faults(self) -> None:
        never = {_COUNTS} if self.gives_files else {_COUNTS, _FILE}
        names = {"*", *(route.name for route in self._all_routes)} - never
        for call in self._faults.list_calls():
            if call not in names:
                hint = did_you_mean(call, names)
                raise InvalidRequestError(f"{self.name} has no call {call!r}", hint=hint)
