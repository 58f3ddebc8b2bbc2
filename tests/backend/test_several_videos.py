"""One request for several videos: made side by side, each a file of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import GenerationFailedError, InvalidRequestError
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing import events_of
from media_agent.video.codec import read_frames
from media_agent_schemas import (
    Capabilities,
    Estimate,
    GenerationRecord,
    JobCompleted,
    JobStatus,
    ResumeToken,
    VideoJob,
    VideoRequest,
)

pytestmark = pytest.mark.anyio

REQUEST = VideoRequest(prompt="a cat", num_frames=10, fps=6, n=3, model="shades")


class Shades(LocalBackend):
    """Makes videos of one gray each, in chunks of six frames."""

    fails_at: int | None = None
    videos: int | None = None

    @property
    def name(self) -> str:
        return "shades"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="shades",
            model="one",
            max_n=4,
            resumable=True,
            extends=True,
            resubmits=True,
            max_shots=None,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first = 0 if context.resume is None else context.resume.next_chunk
        for index in range(first, 2):
            if index == self.fails_at:
                raise GenerationFailedError("as told")
            shades = np.arange(self.videos or request.n, dtype=np.uint8) * 50 + 20 * index
            frames = np.broadcast_to(shades[:, None, None, None, None], (len(shades), 6, 32, 32, 3))
            token = ResumeToken(backend="shades", model="one", next_chunk=index + 1)
            yield Chunk(index, frames if request.n > 1 else frames[0], token)


@pytest.fixture
def shades(tmp_path: Path) -> Shades:
    return Shades(BackendSettings(data_dir=tmp_path / "data"))


@pytest.fixture
async def client(tmp_path: Path, shades: Shades, anyio_backend: str) -> AsyncIterator[VideoClient]:
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    spec = BackendSpec(name="shades", factory=lambda _: shades)
    registry = Registry(Discovery({"shades": spec}))
    async with VideoClient(settings=settings, registry=registry) as client:
        yield client


def shades_of(job: VideoJob) -> list[list[int]]:
    """Return the gray of every frame of every video, to the nearest ten."""
    videos = [read_frames(Path(str(file.path))) for file in job.artifacts]
    return [[round(frame.mean() / 10) * 10 for frame in video] for video in videos]


WHOLE = [[0] * 6 + [20] * 4, [50] * 6 + [70] * 4, [100] * 6 + [120] * 4]


async def test_every_video_is_a_file_and_the_record_names_them_all(
    client: VideoClient, tmp_path: Path
) -> None:
    job = await client.generate(REQUEST, out=tmp_path / "cat.mp4")

    assert job.status is JobStatus.COMPLETED, job.error
    names = [Path(str(file.path)).name for file in job.artifacts]
    assert names == ["cat.mp4", "cat-2.mp4", "cat-3.mp4"]
    assert shades_of(job) == WHOLE
    record = GenerationRecord.model_validate_json((tmp_path / "cat.json").read_bytes())
    assert record.artifacts == job.artifacts
    assert job.frames_ready == 10


async def test_only_what_a_branch_needs_stays_behind(client: VideoClient, tmp_path: Path) -> None:
    job = await client.generate(REQUEST)

    work = tmp_path / "data" / "work" / job.id
    assert {path.name for path in work.iterdir()} == {"chunks", "states"}


async def test_one_video_has_no_number(client: VideoClient, tmp_path: Path) -> None:
    job = await client.generate(REQUEST.model_copy(update={"n": 1}), out=tmp_path / "cat.mp4")

    assert [Path(str(file.path)).name for file in job.artifacts] == ["cat.mp4"]


async def test_a_video_in_the_place_of_any_of_them_is_not_replaced(
    client: VideoClient, tmp_path: Path
) -> None:
    (tmp_path / "cat-3.mp4").write_bytes(b"mine")

    with pytest.raises(InvalidRequestError, match=r"cat-3\.mp4 exists"):
        await client.generate(REQUEST, out=tmp_path / "cat.mp4")
    await client.generate(REQUEST, out=tmp_path / "cat.mp4", overwrite=True)

    assert (tmp_path / "cat-3.mp4").stat().st_size > 4


async def test_what_was_made_of_all_of_them_is_kept_and_resumed(
    client: VideoClient, shades: Shades, tmp_path: Path
) -> None:
    shades.fails_at = 1
    failed = await client.generate(REQUEST, out=tmp_path / "cat.mp4")
    shades.fails_at = None
    job = await client.resume(failed.id)

    assert failed.status is JobStatus.FAILED
    names = [Path(str(file.path)).name for file in failed.artifacts]
    assert names == ["cat.partial.mp4", "cat-2.partial.mp4", "cat-3.partial.mp4"]
    assert shades_of(job) == WHOLE


async def test_several_videos_branch_off_one(shades: Shades) -> None:
    await made(shades, REQUEST.model_copy(update={"n": 1}), "parent")
    token = ResumeToken(backend="shades", model="one", next_chunk=1, key="parent")

    end = await made(shades, REQUEST, "branch", token)

    videos = [read_frames(Path(str(file.path))) for file in end.artifacts]
    grays = [[round(video[place].mean() / 10) * 10 for place in (0, 5, 6)] for video in videos]
    assert grays == [[0, 0, 20], [0, 0, 70], [0, 0, 120]]


async def made(
    backend: Shades, request: VideoRequest, key: str, resume: ResumeToken | None = None
) -> JobCompleted:
    ref = await backend.submit(request, key=key, resume=resume)
    end = (await events_of(backend, ref))[-1]
    assert isinstance(end, JobCompleted), end
    return end


async def test_a_backend_that_makes_another_number_of_videos_fails(
    client: VideoClient, shades: Shades
) -> None:
    shades.videos = 2

    job = await client.generate(REQUEST)

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "got 2 videos; 3 were asked" in job.error.message
