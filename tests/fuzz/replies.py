"""Replies of every provider, changed between its simulator and us, through whole jobs."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import Settings, load_settings
from media_agent.registry.plugins import Discovery, discover
from media_agent.registry.registry import Registry
from media_agent.testing import Simulator
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.find import find_simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.request import VideoRequest
from tests.fuzz.odd import odd_bytes, odd_json
from tests.fuzz.rules import CANARY, named, ruled

TESTS = Path(__file__).resolve().parents[1] / "hosted" / "providers"
ROOT = TESTS.parents[2]
OPTIONS: Mapping[str, dict[str, Any]] = {
    "gradio": {
        "endpoint": "/generate",
        "parameters": {"prompt": "{prompt}", "seed": "{seed}", "frames": "{num_frames}"},
        "sizes": ["64x36"],
        "fps": [8],
        "max_duration": 4,
    },
    "openai-compatible": {"server": "vllm-omni"},
    "vertex": {"project": "p"},
    "comfyui": {
        "workflow": str(ROOT / "examples" / "comfyui" / "animated-webp.json"),
        "slots": {"prompt": "3.text", "seed": "6.seed"},
        "size": "512x320",
        "fps": 12,
        "duration": 2,
    },
}
STATUSES = (
    200,
    201,
    202,
    204,
    301,
    302,
    400,
    401,
    402,
    403,
    404,
    409,
    418,
    422,
    429,
    500,
    503,
    504,
)
HEADERS = (
    ("Retry-After", "-1"),
    ("Retry-After", "9" * 30),
    ("Retry-After", "Sun, 99 Foo 2026"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "br, gzip"),
    ("Location", "http://127.0.0.1:1/elsewhere"),
    ("Location", "file:///etc/passwd"),
    ("Content-Type", "text/html; charset=nonsense"),
    ("Date", "never"),
    ("Set-Cookie", f"a={CANARY}"),
    ("X-Request-Id", CANARY),
)
ODD_CALLS = 8  # answers from the first on that may be changed; what comes after is sound
MOST_CALLS = 60


@dataclass
class Between:
    """Stands before a simulator and changes what it answers."""

    simulator: Simulator
    documented: tuple[Any, ...]
    calls: int = 0
    changes: dict[int, int] = field(default_factory=dict)
    """By the number of a call, the seed of its change: calls come in another thread."""

    def begin(self, dice: Random) -> None:
        """Begin another example."""
        self.simulator.jobs.clear()
        self.simulator.requests.clear()
        self.calls = 0
        count = dice.randint(1, 3)
        self.changes = {dice.randint(0, ODD_CALLS - 1): dice.getrandbits(32) for _ in range(count)}

    def serve(self, call: Call) -> tuple[Answer | None, Fault | None]:
        """Answer a call, or some oddly."""
        answer, fault = type(self.simulator).serve(self.simulator, call)
        number, self.calls = self.calls, self.calls + 1
        if answer is None or answer.converse is not None or number not in self.changes:
            return answer, fault
        return self._change(answer, Random(self.changes[number])), fault

    def _change(self, answer: Answer, dice: Random) -> Answer | None:
        if self.documented and dice.randint(0, 3) == 0:
            said = dice.choice(self.documented)
            answer = Answer(said["status"], said.get("body"))
        match dice.choice(("json", "json", "json", "status", "header", "bytes", "gone")):
            case "json" if isinstance(answer.body, dict | list) and answer.body:
                body = json.dumps(odd_json(dice, answer.body, CANARY)).encode("utf-8", "replace")
                return replace(answer, body=body)
            case "status":
                return replace(answer, status=dice.choice(STATUSES))
            case "header":
                name, value = dice.choice(HEADERS)
                return replace(answer, headers={**answer.headers, name: value})
            case "gone":
                return None
            case _:
                content = answer.content()
                return replace(answer, body=odd_bytes(dice, content) if content else b"\0")


@contextlib.contextmanager
def replies(folder: Path) -> Iterator[Callable[[Random], None]]:
    """Yield what runs one job at one provider."""
    specs = {name: spec for name, spec in discover().specs.items() if spec.simulator}
    between: dict[str, Between] = {}
    with contextlib.ExitStack() as stack:
        for name in specs:
            simulator = find_simulator(name, specs)()
            between[name] = Between(simulator, _documented(name))
            simulator.serve = between[name].serve  # type: ignore[method-assign]  # that is the place
            stack.enter_context(simulator)
        data = folder / "data"

        def example(dice: Random) -> None:
            name = dice.choice([*specs])
            between[name].begin(dice)
            shutil.rmtree(data, ignore_errors=True)
            with named(f"{name} {between[name].changes}"), ruled(folder) as told:
                job = asyncio.run(_run(name, between[name].simulator.url, data))
                told += [job.model_dump_json(), *_kept(data)]
                assert job.status.is_terminal, f"it ended as {job.status}"
                assert len(between[name].simulator.jobs) <= 1 or _may_repeat(between[name]), (
                    "paid twice"
                )

        yield example


def _may_repeat(between: Between) -> bool:
    """Whether a reply said that nothing was accepted, when something was."""
    return 0 in between.changes


def _documented(name: str) -> tuple[Any, ...]:
    folder = TESTS / name.replace("-", "_") / "replies"
    read = (json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json")))
    return tuple(each for each in read if isinstance(each, dict) and "status" in each)


def _settings(name: str, url: str, data: Path) -> Settings:
    section = {"kind": name, "base_url": url, "key": CANARY, "options": OPTIONS.get(name, {})}
    return load_settings(data_dir=data, backends={"service": section}, default_backend="service")


def _registry(name: str, settings: Settings) -> Registry:
    """Return backends that pause no longer than it takes to let others work."""
    spec = discover().specs[name]

    def make(given: BackendSettings) -> VideoBackend:
        return type(spec.factory(given))(given, sleep=_no_sleep)  # type: ignore[call-arg, no-any-return]

    return Registry(Discovery({name: replace(spec, factory=make)}), kinds=settings.kinds())


async def _no_sleep(seconds: float) -> None:
    await asyncio.sleep(0.001)


async def _run(name: str, url: str, data: Path) -> VideoJob:
    settings = _settings(name, url, data)
    client = VideoClient(settings=settings, registry=_registry(name, settings), sleep=_no_sleep)
    async with asyncio.timeout(60), client:
        request = VideoRequest(prompt="a fox")
        return await client.generate(request, job_id="job", overwrite=True)


def _kept(data: Path) -> Iterator[str]:
    """Yield all that is on disk."""
    for path in data.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")
