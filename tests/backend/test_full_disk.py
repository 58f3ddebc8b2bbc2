"""A disk that is full: the video so far is kept, and continues when there is room again."""

import errno
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, state_name
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.video.codec import read_frames
from media_agent_schemas import Capabilities, Estimate, JobStatus, ResumeToken, VideoRequest

REQUEST = VideoRequest(prompt="a cat", num_frames=24, fps=6, model="counter")


class Counter(LocalBackend):
    """Counts, and paints what it counted; the count is its state."""

    room = 100  # states that fit on the disk

    @property
    def name(self) -> str:
        return "counter"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(backend="counter", model="one", resumable=True, resubmits=True)

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first, count = 0, 0
        if context.resume is not None:
            first = context.resume.next_chunk
            count = int((context.work_dir / "states" / state_name(first)).read_text())
        for index in range(first, 4):
            count += 50
            token = ResumeToken(backend="counter", model="one", next_chunk=index + 1)
            frames = np.full((6, 32, 32, 3), count, np.uint8)
            yield Chunk(index, frames, token, partial(self._save, count))

    def _save(self, count: int, path: Path) -> None:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        self.room -= 1
        path.write_text(str(count))


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    return Counter(BackendSettings(data_dir=tmp_path / "data"))


@pytest.fixture
async def client(
    tmp_path: Path, counter: Counter, anyio_backend: str
) -> AsyncIterator[VideoClient]:
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    registry = Registry(
        Discovery({"counter": BackendSpec(name="counter", factory=lambda _: counter)})
    )
    async with VideoClient(settings=settings, registry=registry) as client:
        yield client


@pytest.mark.anyio
async def test_a_video_without_room_for_its_state_ends_and_continues_later(
    client: VideoClient, counter: Counter
) -> None:
    counter.room = 2
    full = await client.generate(REQUEST)
    counter.room = 100
    done = await client.resume(full.id)

    assert full.status is JobStatus.FAILED
    assert full.error is not None
    assert "the disk is full" in full.error.message
    assert f"media-agent jobs resume {full.id} continues" in str(full.error.hint)
    assert Path(str(full.artifacts[0].path)).name == "video.partial.mp4"
    assert done.status is JobStatus.COMPLETED, done.error
    video = read_frames(Path(str(done.artifacts[0].path)))
    assert [round(frame.mean() / 50) for frame in video[::6]] == [1, 2, 3, 4]
