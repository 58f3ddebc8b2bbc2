"""An endless video that another machine continues: another data folder, the same ledger, by URL."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

pytest.importorskip("torch")

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.jobs_section import JobsSection
from media_agent.config.settings import load_settings
from media_agent.jobs.options import GenerateOptions
from media_agent.jobs.sharing import Sharing
from media_agent.ledger.state import OwnershipLostError
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.video.codec import read_frames
from media_agent_magi.backend import MagiBackend
from media_agent_magi.tiny.family import TinyFamily
from media_agent_schemas import ChunkReady, JobStatus, VideoJob, VideoRequest

pytestmark = pytest.mark.anyio

REQUEST = VideoRequest(
    prompt="a red circle moving right on a blue background", model="magi/tiny", seed=5
)
ENDLESS = REQUEST.model_copy(update={"endless": True})


@pytest.fixture
def machine(
    raw_weights: Path, tmp_path: Path, postgres_url: SecretStr
) -> Callable[[str], VideoClient]:
    """Return what opens a client on a machine of a name."""

    def make(settings: BackendSettings) -> VideoBackend:
        return MagiBackend(settings, [TinyFamily(raw_weights)])

    def open_client(name: str) -> VideoClient:
        return VideoClient(
            settings=load_settings(
                data_dir=tmp_path / name,
                ledger=postgres_url,
                default_backend="magi/tiny",
                jobs=JobsSection(files=f"file://{tmp_path / 'shared'}"),
            ),
            registry=Registry(Discovery({"magi": BackendSpec("magi", make)})),
        )

    return open_client


def content(job: VideoJob) -> bytes:
    return Path(job.artifacts[0].path or "").read_bytes()


async def chunks(client: VideoClient, job: VideoJob, count: int) -> None:
    """Wait until so many chunks of a job are ready."""
    async with asyncio.timeout(300):
        while (await client.get(job.id)).chunks_ready < count:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.02)


async def test_an_endless_video_continues_on_another_machine_frame_for_frame(
    machine: Callable[[str], VideoClient], tmp_path: Path
) -> None:
    async with machine("first") as client:
        job = await client.start(ENDLESS)
        await chunks(client, job, 3)

    async with machine("second") as client:
        before = (await client.get(job.id)).chunks_ready
        await client.begin_resume(job.id)
        await chunks(client, job, before + 2)
        lengths = client.store.events.chunk_lengths(job.id)
        await client.finish(job.id)
        done = await client._running.attach(job.id, None)
        events = [each.event for each in await client.events(job.id)]
        made = read_frames(Path(done.artifacts[0].path or ""))
        delivered = content(done)

    (tmp_path / "second").rename(tmp_path / "out of reach")
    async with machine("third") as client:
        shown = await client.bring_files(done)
        other = await client.start(ENDLESS)
        # what is in work when a video is finished is computed in other groups
        await chunks(client, other, len(lengths) + 4)
        await client.finish(other.id)
        whole = await client._running.attach(other.id, None)
        undisturbed = read_frames(Path(whole.artifacts[0].path or ""))

    assert done.status is JobStatus.COMPLETED
    ready = [each.index for each in events if isinstance(each, ChunkReady)]
    assert ready == list(range(len(ready)))
    assert len(ready) >= before + 2
    asked = sum(lengths)
    assert (made[:asked] == undisturbed[:asked]).all()
    assert Path(shown.artifacts[0].path or "").is_relative_to(tmp_path / "third")
    assert content(shown) == delivered
    assert not (tmp_path / "shared" / "work" / job.id).exists()


async def test_whoever_lost_a_job_shares_nothing_of_it_any_more(
    machine: Callable[[str], VideoClient], tmp_path: Path
) -> None:
    async with machine("first") as slow, machine("second") as other:
        job, _ = await slow._intake.take(REQUEST, GenerateOptions())
        chunk = slow.settings.work_folder / job.id / "chunks" / "00000000.chunk"
        chunk.parent.mkdir(parents=True)
        chunk.write_bytes(b"as it was made before")
        sharing = Sharing(job.id, slow._context)

        with slow.store.owners.claim(job.id):
            await sharing.save(job.id)
            chunk.rename(chunk.with_stem("00000001"))
            with other.store.owners.claim(job.id, force=True), pytest.raises(OwnershipLostError):
                await sharing.save(job.id)

    shared = tmp_path / "shared" / "work" / job.id / "chunks"
    assert [each.name for each in shared.iterdir()] == [chunk.name]


async def test_what_cannot_be_shared_now_is_shared_later_and_said(
    machine: Callable[[str], VideoClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.jobs.sharing._PAUSES", (0.05,) * 20)
    (tmp_path / "shared").write_text("in the way")
    async with machine("first") as client:
        running = asyncio.create_task(
            client.generate(REQUEST.model_copy(update={"num_frames": 24}), job_id="one")
        )
        async with asyncio.timeout(300):
            while not client.store.jobs.list() or not (await client.get("one")).warnings:  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(0.02)
        (tmp_path / "shared").unlink()
        done = await running

    assert done.status is JobStatus.COMPLETED
    assert any("it is tried again" in each for each in done.warnings)
    assert (tmp_path / "shared" / "jobs" / "one" / "video.mp4").is_file()
