"""The base of provider simulators: a real HTTP server on this machine, with faults on demand.

A subclass lists its routes and answers them as the provider's documents say. Counting, faults, the
video files and `GET /__simulator__`, which tells the counts to another process, are done here.

    with FalSimulator(faults=[Fault("submit", "close_after_accept")]) as simulator:
        ...                     # an adapter with base_url = simulator.url
    assert simulator.accepted == 1
"""

import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import ClassVar, Literal, Self

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.suggest import did_you_mean
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call, SimulatorServer
from media_agent.testing.simulator.videos import Video, count_frames, make_video

_LAST_PORT = 65535
_REQUESTS_KEPT = 10_000
_COUNTS, _FILE = "counts", "file"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Route:
    """One call of the provider's API."""

    method: str
    pattern: str  # a regular expression for the whole path
    name: str
    handler: Callable[[Call], Answer]
    needs_key: bool = True


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


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int | None  # None: always


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
        self._faults = [_Armed(fault, fault.times) for fault in faults]
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
        if not any(armed.fault.kind == "refuse" for armed in self._faults):
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
            self._faults += [_Armed(fault, fault.times) for fault in faults]
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
            call, route = self._find_route(call)
            if route is not None and route.name == _COUNTS:
                return route.handler(call), None
            if len(self.requests) < _REQUESTS_KEPT:
                self.requests.append(call)
            fault = self._take_fault(call.name)
            if fault is None:
                return self._answer(call, route), None
            answer = self._answer(call, route) if fault.takes_effect else None
            if fault.kind == "duplicate":
                answer = self._answer(call, route)
            return self._apply_fault(call, answer, fault), fault

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the simulator lives."""
        self._stopping.wait(seconds)

    def _find_route(self, call: Call) -> tuple[Call, Route | None]:
        for route in self._all_routes:
            match = re.fullmatch(route.pattern, call.path)
            if match is not None and route.method == call.method:
                arguments = {name: value or "" for name, value in match.groupdict().items()}
                return replace(call, name=route.name, arguments=arguments), route
        return call, None

    def _apply_fault(self, call: Call, answer: Answer | None, fault: Fault) -> Answer | None:
        match fault.kind:
            case "status":
                wait = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
                return Answer(fault.status, self.error_body("a simulated fault"), headers=wait)
            case "echo":
                return self._echo(call, fault.status)
            case "odd" if answer is not None and not isinstance(answer.body, bytes):
                return replace(answer, body=_distort(answer.body))
            case "mislabel" if answer is not None:
                return replace(answer, media_type="text/html")
            case "garbage":
                return Answer(200, b'{"\x00 garbage')
            case "html":
                return Answer(200, b"<html><body>Welcome</body></html>", media_type="text/html")
            case "close_before_accept" | "close_after_accept" | "stall":
                return None
            case _:
                return answer

    def _echo(self, call: Call, status: int) -> Answer:
        """Say back all that was in the headers, in the body with every character escaped."""
        said = " ".join(call.headers.values())
        body = json.dumps(self.error_body("#"))
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in said)
        return Answer(status, body.replace("#", escaped).encode(), headers={"X-Error": said})

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

    def _take_fault(self, name: str) -> Fault | None:
        for armed in self._faults:
            fault = armed.fault
            if fault.call in (name, "*") and fault.kind != "refuse" and armed.left != 0:
                armed.left = None if armed.left is None else armed.left - 1
                return fault
        return None

    def _check_faults(self) -> None:
        never = {_COUNTS} if self.gives_files else {_COUNTS, _FILE}
        names = {"*", *(route.name for route in self._all_routes)} - never
        for armed in self._faults:
            call = armed.fault.call
            if call not in names:
                raise InvalidRequestError(
                    f"{self.name} has no call {call!r}", hint=did_you_mean(call, names)
                )


def _distort(body: JsonValue) -> bytes:
    """Return an answer that says what is needed, and everything else in an unexpected form."""
    strange = _drop_numbers(body)
    if isinstance(strange, dict):
        strange = {"x_unheard_of": [None, {"": []}], **strange}
    return _BYTE_ORDER_MARK + json.dumps(strange).encode()


def _drop_numbers(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {
                name: each if name.endswith("id") else _drop_numbers(each)
                for name, each in value.items()
            }
        case list():
            return [_drop_numbers(each) for each in value]
        case int() | float() if not isinstance(value, bool):
            return "n/a"
        case _:
            return value
