"""An agent asks again for a job whose process is gone: it is resumed, or the reason is said."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend
from media_agent.backend.polled import PolledBackend, sending
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.ledger.ledger import Ledger
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.simulator.videos import write_video
from media_agent.tools import ToolBox
from media_agent.video.codec import read_frames
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    Capabilities,
    Estimate,
    InputRole,
    JobCompleted,
    JobStatus,
    OperationRef,
    ResumeToken,
    Shot,
    VideoMode,
    VideoRequest,
)

pytestmark = pytest.mark.anyio

TOOLS = ["get_video", "wait_video"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "none.toml"))


class Crash(BaseException):
    """The process ends here; nothing that follows is done."""


class Service(PolledBackend):
    """Paid work that is finished at the first look; it counts what it accepted."""

    tells_when_sending = True

    def __init__(self, folder: Path) -> None:
        super().__init__(BackendSettings(data_dir=folder / "data"))
        self.video = folder / "made.mp4"
        write_video(self.video, np.zeros((8, 16, 16, 3), np.uint8), fps=4)
        self.accepted: list[str] = []

    @property
    def name(self) -> str:
        return "service"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="service",
            model="one",
            default_fps=4,
            seed=True,
            max_duration=2,
            max_shots=1,
            modes=tuple(VideoMode),
            input_roles=(InputRole.FIRST_FRAME,),
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.5)

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        with sending():
            self.accepted.append(key)
        return OperationRef(backend="service", model="one", operation_id=key)

    async def status(self, ref: OperationRef) -> BackendEvent:
        return JobCompleted(artifacts=(Artifact(path=str(self.video)),))


class Counter(LocalBackend):
    """Paints what it counts, chunk by chunk, and resumes from a token."""

    def __init__(self, folder: Path) -> None:
        super().__init__(BackendSettings(data_dir=folder / "data"))
        self.begun_at: list[int] = []
        self.may_continue = threading.Event()

    @property
    def name(self) -> str:
        return "counter"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(backend="counter", model="one", resumable=True, resubmits=True)

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first = 0 if context.resume is None else context.resume.next_chunk
        self.begun_at.append(first)
        for index in range(first, 4):
            while index == 2 and not self.may_continue.wait(0.01):
                context.check()
            token = ResumeToken(backend="counter", model="one", next_chunk=index + 1)
            frames = np.full((6, 32, 32, 3), 50 * (index + 1), np.uint8)
            yield Chunk(index, frames, token, lambda path: path.touch())


def process(
    folder: Path, *backends: VideoBackend, crash_at: tuple[str, int] | None = None
) -> VideoClient:
    """Return the client of another process on the same data folder."""
    seen: list[str] = []

    def checkpoint(step: str) -> None:
        seen.append(step)
        if crash_at is not None and (step, seen.count(step)) == crash_at:
            raise Crash

    specs = {each.name: _spec(each) for each in backends}
    return VideoClient(
        settings=load_settings(data_dir=folder / "data", default_backend="service"),
        registry=Registry(Discovery(specs)),
        store=Ledger(folder / "data" / "ledger.sqlite", is_owner_alive=lambda owner, silent: False),
        checkpoint=checkpoint,
    )


def _spec(backend: VideoBackend) -> BackendSpec:
    return BackendSpec(name=backend.name, factory=lambda settings: backend)


async def asked(client: VideoClient, tool: str, job_id: str) -> dict[str, Any]:
    """Do what an agent does: ask with a tool, then again as long as it is told to wait."""
    box = ToolBox(client)
    wait = {"job_id": job_id, "seconds": 30}
    answer: Any = await box.call(tool, wait if tool == "wait_video" else {"job_id": job_id})
    if not answer["finished"] and "call wait_video" in answer["next"]:
        answer = await box.call("wait_video", wait)
    return dict(answer)


def clip(seconds: float) -> VideoRequest:
    return VideoRequest(prompt="a cat", duration=seconds, seed=0, model="service")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("step", ["plan", "ref", "collect", "record"])
async def test_a_paid_video_of_a_process_that_is_gone_is_resumed_and_paid_once(
    tmp_path: Path, tool: str, step: str
) -> None:
    service = Service(tmp_path)
    with pytest.raises(Crash):
        await process(tmp_path, service, crash_at=(step, 1)).generate(clip(2), job_id="left")
    left = Ledger(tmp_path / "data" / "ledger.sqlite").jobs.get("left")

    answer = await asked(process(tmp_path, service), tool, "left")

    assert not left.status.is_terminal
    assert answer["status"] == "completed", answer
    assert service.accepted == ["left"]


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_video_in_segments_of_a_process_that_is_gone_is_resumed(
    tmp_path: Path, tool: str
) -> None:
    service = Service(tmp_path)
    with pytest.raises(Crash):
        await process(tmp_path, service, crash_at=("ref", 3)).generate(
            VideoRequest(
                shots=(Shot(prompt="a cat", duration=2), Shot(prompt="a dog", duration=2)),
                seed=0,
                model="service",
            ),
            job_id="left",
        )

    answer = await asked(process(tmp_path, service), tool, "left")

    assert answer["status"] == "completed", answer
    assert len(set(service.accepted)) == len(service.accepted) >= 2


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_video_made_here_by_a_process_that_is_gone_is_resumed_behind_its_last_chunk(
    tmp_path: Path, tool: str
) -> None:
    first, second = Counter(tmp_path), Counter(tmp_path)
    request = VideoRequest(prompt="a cat", num_frames=24, fps=6, model="counter")
    client = process(tmp_path, first)
    job = await client.start(request)
    async with asyncio.timeout(60):
        while client.store.jobs.get(job.id).chunks_ready == 0:  # noqa: ASYNC110  # it is another thread
            await asyncio.sleep(0.01)
    await client.aclose()
    second.may_continue.set()

    answer = await asked(process(tmp_path, second), tool, job.id)

    assert answer["status"] == "completed", answer
    assert second.begun_at in ([1], [2])
    assert len(list(read_frames(Path(answer["video"])))) == 24


@pytest.mark.parametrize("tool", TOOLS)
async def test_who_cannot_continue_says_so_and_lets_nobody_wait(tmp_path: Path, tool: str) -> None:
    service = Service(tmp_path)
    with pytest.raises(Crash):
        await process(tmp_path, service, crash_at=("ref", 1)).generate(clip(2), job_id="left")
    client = process(tmp_path)
    box = ToolBox(client)
    answer: Any = await box.call(tool, {"job_id": "left"})
    async with asyncio.timeout(60):
        answer = await box.call("wait_video", {"job_id": "left", "seconds": 50})

    assert "do not wait" in answer["next"], answer
    assert "jobs resume left" in answer["next"]
    assert client.store.jobs.get("left").status in (JobStatus.QUEUED, JobStatus.IN_PROGRESS)
