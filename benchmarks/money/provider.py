"""A provider on this machine with the published faults, in a process of its own.

`python -m benchmarks.money.provider openai|fal JOBS SEED` prints its address, then serves until
it is ended. It speaks the shapes of the simulators that the tests use. `GET /__money__` tells how
often each job was accepted: what is paid.
"""

import itertools
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from http import HTTPStatus

from benchmarks.money.mix import draw_faults
from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call, find_route
from media_agent.testing.simulator.spoil import spoil
from media_agent.testing.simulator.videos import Video
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_hosted.providers.openai_compatible.simulated_form import form_fields
from media_agent_hosted.providers.openai_compatible.simulator import OpenAISimulator

MODEL = "sora-2"
_CLIP = re.compile(rb"clip-(\d{4})")
_GATEWAY = "<html><head><title>{0}</title></head><body><center>nginx</center></body></html>"
_ON_SUBMIT = {
    "reply lost after accept": Fault("submit", "close_after_accept"),
    "502 after accept": Fault("submit", "status", status=502, accepts=True),
    "503 before accept": Fault("submit", "status", status=503),
    "closed before accept": Fault("submit", "close_before_accept"),
}
_FAILED_POLLS = 3
_VIDEO_CALLS = ("content", "file")
_LOOKS = ("status", "result")


class MoneyProvider(Simulator):
    """Lets the fault of each job strike, by the number in its prompt."""

    faults: Sequence[str | None]

    def begin(self, faults: Sequence[str | None]) -> None:
        """Say which job meets which fault."""
        self.faults = faults
        self._seen: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._expired: set[int] = set()
        money = Route("GET", "/__money__", "money", self._answer_money, needs_key=False)
        self._all_routes = (money, *self._all_routes)

    def serve(self, call: Call) -> tuple[Answer | None, Fault | None]:
        """Answer a call; the fault is that of the job."""
        with self._lock:
            named, route = find_route(call, self._all_routes)
            fault = None if route is None else self._strike(named)
            if route is None or fault is None:
                return super().serve(call)
            answer = self._answer(named, route) if fault.takes_effect else None
            if fault.kind != "status":
                return spoil(answer, fault, named, self.error_body), fault
            said = f"{fault.status} {HTTPStatus(fault.status).phrase}"
            page = _GATEWAY.format(said).encode()
            return Answer(fault.status, page, media_type="text/html"), fault

    def video(self, job: SimulatedJob) -> Video:
        """Return the measures of a small video, the same for all: the bench is not about pixels."""
        return Video(frames=8, fps=8.0, width=64, height=64, shade=100)

    def _strike(self, call: Call) -> Fault | None:
        number = self._number_of(call)
        if number is None or number >= len(self.faults):
            return None
        kind, name = self.faults[number], call.name
        self._seen[number, name] += 1
        seen = self._seen[number, name]
        if name == "submit" and kind in _ON_SUBMIT and seen == 1:
            return _ON_SUBMIT[kind]
        if name == "status" and kind == "three polls fail" and seen <= _FAILED_POLLS:
            return Fault(name, "status", status=502)
        if name in _LOOKS:
            self._expired.discard(number)
        if name in _VIDEO_CALLS and kind == "download cut" and seen == 1:
            return Fault(name, "truncate")
        if name in _VIDEO_CALLS and kind == "address expired":
            if seen == 1:
                self._expired.add(number)
            if number in self._expired:
                return Fault(name, "status", status=403)
        return None

    def _number_of(self, call: Call) -> int | None:
        if call.name == "submit":
            found = _CLIP.search(call.body)
        else:
            job = self.jobs.get(call.arguments.get("id", ""))
            found = None if job is None else _CLIP.search(str(job.input.get("prompt")).encode())
        return None if found is None else int(found[1])

    def _answer_money(self, call: Call) -> Answer:
        jobs = [_CLIP.search(str(job.input.get("prompt")).encode()) for job in self.jobs.values()]
        paid = Counter(found[1].decode() for found in jobs if found is not None)
        return Answer(200, {"accepted": len(jobs), "paid": {**paid}})


class MoneyOpenAI(MoneyProvider, OpenAISimulator):
    """OpenAI's video API, as vLLM-Omni has it; takes forms and JSON, and its list repeats seeds."""

    def _create(self, call: Call) -> Answer:
        return Answer(200, self.resource(self.accept(MODEL, form_fields(call, takes_json=True))))


class MoneyFal(MoneyProvider, FalSimulator):
    """fal's queue and list; the address of a video is signed anew whenever it is told."""

    _signatures = itertools.count(1)

    def video_url(self, job: SimulatedJob) -> str:
        """Return an address that differs from those told before, as a signed one does."""
        return f"{super().video_url(job)}?signature={next(self._signatures)}"


def main() -> None:
    """Serve until the input ends."""
    api, jobs, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    provider: MoneyProvider
    if api == "fal":
        provider = MoneyFal(running_polls=1)
    else:
        provider = MoneyOpenAI(flavour="vllm-omni", model=MODEL, repeats_seed=True, running_polls=1)
    provider.begin(draw_faults(jobs, seed))
    with provider:
        print(json.dumps({"url": provider.url}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
