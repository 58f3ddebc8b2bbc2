"""Videos that share the beginning of another one."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, state_name
from media_agent.backend.protocol import BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import (
    InvalidRequestError,
    JobError,
    JobNotFoundError,
    MediaAgentError,
    NotResumableError,
    UnsupportedRequestError,
)
from media_agent.jobs.continuing.branch_state import check_branches
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.storage.work_folder import chunk_name
from media_agent.testing import frames_of
from media_agent.video.growing import Video
from media_agent_schemas import (
    Capabilities,
    ChunkReady,
    Estimate,
    GenerationRecord,
    JobStatus,
    ResumeToken,
    Shot,
    Size,
    VideoJob,
    VideoRequest,
)

pytestmark = pytest.mark.anyio

FPS = 10
SLATE = VideoRequest(
    shots=(Shot(prompt="a cat", duration=2), Shot(prompt="a dog", duration=2)),
    fps=FPS,
    size=Size(width=160, height=96),
    seed=5,
    model="sandbox",
)


COUNT = VideoRequest(prompt="a cat", num_frames=24, fps=6, model="counter")


class Counter(LocalBackend):
    """Makes gray videos, a second at a time, each from the state that the one before it left."""

    @property
    def name(self) -> str:
        return "counter"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="counter",
            model="one",
            default_duration=4.0,
            chunk_seconds=1.0,
            max_shots=None,
            max_n=2,
            resumable=True,
            extends=True,
            resubmits=True,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first = 0 if context.resume is None else context.resume.next_chunk
        if first:
            assert (context.work_dir / "states" / state_name(first)).read_text() == str(first)
        for index in range(first, 100):
            token = ResumeToken(
                backend="counter",
                model="one",
                next_chunk=index + 1,
                data={"state": state_name(index + 1)},
            )
            frames = np.full((request.n, 6, 32, 32, 3), 20 * index, np.uint8)
            yield Chunk(
                index,
                frames if request.n > 1 else frames[0],
                token,
                lambda path, following=index + 1: path.write_text(str(following)),
            )


@pytest.fixture
async def client(tmp_path: Path, anyio_backend: str) -> AsyncIterator[VideoClient]:
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    async with VideoClient(settings=settings) as client:
        yield client


@pytest.fixture
async def counting(tmp_path: Path, anyio_backend: str) -> AsyncIterator[VideoClient]:
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    registry = Registry(Discovery({"counter": BackendSpec(name="counter", factory=Counter)}))
    async with VideoClient(settings=settings, registry=registry) as client:
        yield client


def record_of(job: VideoJob) -> GenerationRecord:
    return GenerationRecord.model_validate_json(Path(str(job.record_path)).read_bytes())


async def test_a_branch_shares_its_first_chunks_and_then_goes_its_own_way(
    client: VideoClient,
) -> None:
    whole = await client.generate(SLATE)

    job = await client.branch(whole.id, at=3, prompt="a horse", duration=2)

    assert job.status is JobStatus.COMPLETED, job.error
    frames, before = frames_of(job), frames_of(whole)
    assert len(frames) == 5 * FPS
    assert np.array_equal(frames[: 3 * FPS], before[: 3 * FPS])
    assert (frames[3 * FPS : 4 * FPS] != before[3 * FPS :]).any()
    events = await client.events(job.id)
    assert [e.event.index for e in events if isinstance(e.event, ChunkReady)] == [3, 4]
    assert (job.chunks_ready, job.frames_ready) == (5, 5 * FPS)


async def test_the_record_of_a_branch_names_its_parent_and_all_its_prompts(
    client: VideoClient,
) -> None:
    whole = await client.generate(SLATE)

    record = record_of(await client.branch(whole.id, at=3, prompt="a horse", duration=1))

    assert (record.lineage.parent_job, record.lineage.parent_chunk) == (whole.id, 3)
    shots = [(shot.prompt_sent, shot.start, shot.end) for shot in record.shots]
    assert shots == [("a cat", 0, 2), ("a dog", 2, 3), ("a horse", 3, 4)]
    assert record.seed == 5


async def test_without_a_chunk_the_video_continues_at_its_end(client: VideoClient) -> None:
    whole = await client.generate(SLATE)

    job = await client.branch(whole.id, shots=[Shot(prompt="a cow"), Shot(prompt="a pig")])

    assert len(frames_of(job)) == (4 + 4 + 4) * FPS  # 4 s is the usual length of the slate
    assert np.array_equal(frames_of(job)[: 4 * FPS], frames_of(whole))


async def test_a_last_chunk_that_was_cut_is_made_again(client: VideoClient) -> None:
    cut = await client.generate(
        SLATE.model_copy(update={"shots": (), "prompt": "a", "num_frames": 25})
    )

    job = await client.branch(cut.id, prompt="a cow", duration=1)

    assert len(frames_of(job)) == 3 * FPS
    assert record_of(job).lineage.parent_chunk == 2


async def test_a_branch_of_a_branch_goes_back_to_where_its_chunks_were_made(
    client: VideoClient,
) -> None:
    first = await client.generate(SLATE)
    second = await client.branch(first.id, at=2, prompt="a horse", duration=2)

    early = await client.branch(second.id, at=1, prompt="a cow", duration=1)
    late = await client.branch(second.id, at=3, prompt="a cow", duration=1)

    assert record_of(early).lineage.parent_job == first.id
    assert record_of(late).lineage.parent_job == second.id
    assert [shot.prompt_sent for shot in record_of(early).shots] == ["a cat", "a cow"]
    assert [s.prompt_sent for s in record_of(late).shots] == ["a cat", "a horse", "a cow"]
    assert np.array_equal(frames_of(late)[: 3 * FPS], frames_of(second)[: 3 * FPS])


async def test_a_branch_needs_its_video_no_more_as_soon_as_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    work = tmp_path / "data" / "work"
    parents: list[str] = []

    def checkpoint(step: str) -> None:
        while step == "plan" and parents:
            shutil.rmtree(work / parents.pop())

    async with VideoClient(settings=settings, checkpoint=checkpoint) as client:
        whole = await client.generate(SLATE)
        parents.append(whole.id)
        job = await client.branch(whole.id, at=2, prompt="a horse", duration=1)

    assert not (work / whole.id).exists()
    assert job.status is JobStatus.COMPLETED, job.error
    assert np.array_equal(frames_of(job)[: 2 * FPS], frames_of(whole)[: 2 * FPS])


async def test_a_branch_whose_chunks_were_just_removed_leaves_no_job_and_no_files(
    counting: VideoClient, tmp_path: Path
) -> None:
    whole = await counting.generate(COUNT)
    plan = await counting.plan_branch(whole.id, at=2, prompt="a cow", duration=1)
    work = tmp_path / "data" / "work"
    forget(work / whole.id, chunks=(1,))

    with pytest.raises(NotResumableError, match=r"00000001\.chunk is gone"):
        await counting.generate(plan.request, plans=[plan])

    assert [job.id for job in await counting.list()] == [whole.id]
    assert [path.name for path in work.iterdir() if path.is_dir()] == [whole.id]


async def test_a_state_that_was_just_discarded_is_made_again(
    counting: VideoClient, tmp_path: Path
) -> None:
    whole = await counting.generate(COUNT)
    plan = await counting.plan_branch(whole.id, at=2, prompt="a cow", duration=1)
    forget(tmp_path / "data" / "work" / whole.id, states=(2,))

    job = await counting.generate(plan.request, plans=[plan])

    assert job.status is JobStatus.COMPLETED, job.error
    assert len(frames_of(job)) == 18


async def test_a_branch_that_was_stopped_before_its_first_chunk_continues(
    client: VideoClient, tmp_path: Path
) -> None:
    slow = SLATE.model_copy(update={"options": {"sandbox": {"latency_seconds": 1}}})
    whole = await client.generate(slow)
    task = asyncio.create_task(client.branch(whole.id, at=2, prompt="a horse", duration=1))
    async with asyncio.timeout(60):
        while len(jobs := await client.list()) == 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await client.cancel(jobs[0].id)
    stopped = await task
    shutil.rmtree(tmp_path / "data" / "work" / whole.id)

    done = await client.resume(stopped.id)

    assert (stopped.status, stopped.chunks_ready) == (JobStatus.CANCELLED, 2)
    assert done.status is JobStatus.COMPLETED, done.error
    assert len(frames_of(done)) == 3 * FPS


async def test_a_branch_is_branched_itself_when_its_video_was_removed(
    counting: VideoClient, tmp_path: Path
) -> None:
    first = await counting.generate(COUNT)
    second = await counting.branch(first.id, at=2, prompt="a horse", duration=2)
    await counting.remove(first.id)

    third = await counting.branch(second.id, at=2, prompt="a cow", duration=1)
    late = await counting.branch(second.id, at=3, prompt="a cow", duration=1)

    assert (third.status, late.status) == (JobStatus.COMPLETED, JobStatus.COMPLETED), third.error
    assert record_of(third).lineage.parent_job == second.id
    assert [shot.prompt_sent for shot in record_of(third).shots] == ["a cat", "a cow"]
    assert np.array_equal(frames_of(third)[:12], frames_of(second)[:12])
    assert np.array_equal(frames_of(late)[:18], frames_of(second)[:18])
    assert (third.warnings, late.warnings) == ((), ())

    await counting.remove(second.id)
    last = await counting.branch(third.id, at=2, prompt="a pig", duration=1)
    assert np.array_equal(frames_of(last)[:12], frames_of(third)[:12])


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_what_a_branch_has_not_from_a_removed_video_is_said(
    at: int, counting: VideoClient, tmp_path: Path
) -> None:
    first = await counting.generate(COUNT)
    second = await counting.branch(first.id, at=2, prompt="a horse", duration=2)
    forget(tmp_path / "data" / "work" / second.id, states=(2,))
    await counting.remove(first.id)

    with pytest.raises(NotResumableError) as caught:
        await counting.branch(second.id, at=at, prompt="a cow", duration=1)

    said = f"job {first.id}, which made the first 2 chunks, was removed"
    assert caught.value.message == said
    assert "branch at a later chunk" in str(caught.value.hint)


async def test_a_branch_that_was_stopped_continues_though_its_video_was_removed(
    client: VideoClient,
) -> None:
    slow = SLATE.model_copy(update={"options": {"sandbox": {"latency_seconds": 1}}})
    whole = await client.generate(slow)
    task = asyncio.create_task(client.branch(whole.id, at=2, prompt="a horse", duration=1))
    async with asyncio.timeout(60):
        while len(jobs := await client.list()) == 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await client.cancel(jobs[0].id)
    stopped = await task
    await client.remove(whole.id)

    done = await client.resume(stopped.id)

    assert (stopped.status, stopped.chunks_ready) == (JobStatus.CANCELLED, 2)
    assert done.status is JobStatus.COMPLETED, done.error
    assert len(frames_of(done)) == 3 * FPS


async def test_what_a_continuation_leaves_out_is_said(counting: VideoClient) -> None:
    cut = await counting.generate(COUNT.model_copy(update={"num_frames": 21, "n": 2}))

    on = await counting.plan_branch(cut.id, prompt="a cow", duration=1)
    at = await counting.plan_branch(cut.id, at=1, prompt="a cow", duration=1)

    first = f"job {cut.id} made 2 videos; this continues the first"
    again = "the last 3 frames are generated again, as they are not a complete chunk"
    assert (on.warnings, at.warnings) == ((first, again), (first,))


async def test_what_cannot_branch_is_said(client: VideoClient) -> None:
    whole = await client.generate(SLATE)

    with pytest.raises(JobNotFoundError):
        await client.branch("nobody", prompt="a cow")
    with pytest.raises(InvalidRequestError, match="branch at chunk 9: it has 4 complete"):
        await client.branch(whole.id, at=9, prompt="a cow")
    with pytest.raises(InvalidRequestError, match="branch at chunk -1"):
        await client.branch(whole.id, at=-1, prompt="a cow")
    with pytest.raises(InvalidRequestError, match="the branch has no prompt"):
        await client.branch(whole.id)
    with pytest.raises(InvalidRequestError, match="both prompt and shots"):
        await client.branch(whole.id, prompt="a cow", shots=[Shot(prompt="a pig")])
    with pytest.raises(InvalidRequestError, match="duration -1"):
        await client.branch(whole.id, prompt="a cow", duration=-1)


async def test_a_video_without_chunks_or_states_has_no_branches(
    client: VideoClient, tmp_path: Path
) -> None:
    fails = SLATE.model_copy(update={"options": {"sandbox": {"fail_at": "chunk:0"}}})
    empty = await client.generate(fails)
    with pytest.raises(JobError, match="no complete chunk"):
        await client.branch(empty.id, prompt="a cow")

    whole = await client.generate(SLATE)
    capabilities = await client.capabilities("sandbox")
    with pytest.raises(UnsupportedRequestError, match="cannot continue from a saved") as caught:
        check_branches(capabilities.model_copy(update={"extends": False}), whole)

    assert str(whole.artifacts[0].path) in (caught.value.hint or "")


def forget(work: Path, *, states: tuple[int, ...] = (), chunks: tuple[int, ...] = ()) -> None:
    """Remove files of a video as somebody who needs the space would."""
    for state in states:
        (work / "states" / state_name(state)).unlink()
    for chunk in chunks:
        (work / "chunks" / chunk_name(chunk)).unlink()


async def test_a_state_that_is_gone_is_made_again_from_the_newest_before_it(
    counting: VideoClient, tmp_path: Path
) -> None:
    whole = await counting.generate(COUNT)
    kept = await counting.branch(whole.id, at=3, prompt="a cow", duration=1)
    forget(tmp_path / "data" / "work" / whole.id, states=(2, 3))

    job = await counting.branch(whole.id, at=3, prompt="a cow", duration=1)

    assert job.status is JobStatus.COMPLETED, job.error
    assert np.array_equal(frames_of(job), frames_of(kept))
    (said,) = job.warnings
    assert "chunks 2 to 3 are generated again, from the state kept after chunk 1" in said
    events = await counting.events(job.id)
    assert [e.event.index for e in events if isinstance(e.event, ChunkReady)] == [3]
    assert record_of(job).lineage.parent_chunk == 3


async def test_without_any_state_a_branch_starts_from_the_beginning(
    counting: VideoClient, tmp_path: Path
) -> None:
    whole = await counting.generate(COUNT)
    shutil.rmtree(tmp_path / "data" / "work" / whole.id / "states")

    job = await counting.branch(whole.id, at=2, prompt="a cow", duration=1)

    assert "generated again, from the beginning" in job.warnings[0]
    assert np.array_equal(frames_of(job)[:12], frames_of(whole)[:12])


@pytest.mark.parametrize("has_states", [True, False])
async def test_chunks_that_are_gone_are_generated_again_too(
    has_states: bool, counting: VideoClient, client: VideoClient, tmp_path: Path
) -> None:
    client = counting if has_states else client
    whole = await client.generate(COUNT if has_states else SLATE)
    before = frames_of(whole)
    shutil.rmtree(tmp_path / "data" / "work" / whole.id)

    job = await client.branch(whole.id, at=3, prompt="a cow", duration=1)

    assert job.status is JobStatus.COMPLETED, job.error
    assert "chunks 1 to 3 are generated again, from the beginning" in job.warnings[0]
    third = len(before) * 3 // 4
    assert np.array_equal(frames_of(job)[:third], before[:third])
    assert (job.chunks_ready, job.frames_ready) == (4, len(before))


async def test_where_some_chunks_are_gone_the_others_are_taken_over(
    counting: VideoClient, tmp_path: Path
) -> None:
    whole = await counting.generate(COUNT)
    forget(tmp_path / "data" / "work" / whole.id, chunks=(1,))

    job = await counting.branch(whole.id, at=3, prompt="a cow", duration=1)

    events = await counting.events(job.id)
    assert [e.event.index for e in events if isinstance(e.event, ChunkReady)] == [1, 2, 3]
    assert np.array_equal(frames_of(job)[:18], frames_of(whole)[:18])
    again = await counting.branch(job.id, at=3, prompt="a pig", duration=1)
    assert record_of(again).lineage.parent_job == whole.id


async def test_a_branch_of_a_branch_whose_states_are_gone_is_led_back_to_the_first_video(
    counting: VideoClient, tmp_path: Path
) -> None:
    work = tmp_path / "data" / "work"
    first = await counting.generate(COUNT)
    second = await counting.branch(first.id, at=2, prompt="a horse", duration=2)
    for job in (first, second):
        shutil.rmtree(work / job.id / "states")

    third = await counting.branch(second.id, at=3, prompt="a cow", duration=1)

    assert third.status is JobStatus.COMPLETED, third.error
    assert "chunks 1 to 3 are generated again, from the beginning" in third.warnings[0]
    assert np.array_equal(frames_of(third)[:18], frames_of(second)[:18])
    shots = [shot.prompt_sent for shot in record_of(third).shots]
    assert shots == ["a cat", "a horse", "a cow"]


async def test_a_branch_at_the_start_shares_the_seed_and_nothing_else(client: VideoClient) -> None:
    whole = await client.generate(SLATE)

    job = await client.branch(whole.id, at=0, prompt="a cow", duration=1)

    assert len(frames_of(job)) == FPS
    record = record_of(job)
    assert (record.lineage.parent_job, record.lineage.parent_chunk) == (whole.id, 0)
    assert (record.seed, [shot.prompt_sent for shot in record.shots]) == (5, ["a cow"])


async def test_chunks_that_come_out_different_are_said(
    counting: VideoClient, tmp_path: Path
) -> None:
    whole = await counting.generate(COUNT)
    other = await counting.generate(COUNT.model_copy(update={"prompt": "a dog"}))
    work = tmp_path / "data" / "work"
    shutil.rmtree(work / whole.id / "states")
    brighter = Video(work / other.id, fps=6)
    for level in (0, 120):
        brighter.add(np.full((6, 32, 32, 3), level, np.uint8))
    brighter.close()
    name = Path("chunks", chunk_name(1))
    shutil.copyfile(work / other.id / name, work / whole.id / name)

    job = await counting.branch(whole.id, at=2, prompt="a cow", duration=1)

    assert any("chunk 2, generated again, came out a little different" in w for w in job.warnings)


async def test_a_video_that_failed_or_was_stopped_continues_from_its_last_chunk(
    client: VideoClient, tmp_path: Path
) -> None:
    whole = await client.generate(SLATE)
    slow = SLATE.model_copy(update={"options": {"sandbox": {"latency_seconds": 2}}})
    job = await client.start(slow, out=tmp_path / "video.mp4")
    async with asyncio.timeout(60):
        while (await client.get(job.id)).chunks_ready == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await client.cancel(job.id)
    async with asyncio.timeout(60):
        while not (stopped := await client.get(job.id)).status.is_terminal:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    done = await client.resume(job.id)

    assert stopped.status is JobStatus.CANCELLED
    assert done.status is JobStatus.COMPLETED, done.error
    assert record_of(done).lineage.resumed_from_chunk == stopped.chunks_ready
    assert np.array_equal(frames_of(done), frames_of(whole))


async def test_of_two_who_resume_a_video_at_once_one_makes_it(
    client: VideoClient, tmp_path: Path
) -> None:
    slow = SLATE.model_copy(update={"options": {"sandbox": {"latency_seconds": 1}}})
    job = await client.start(slow, out=tmp_path / "video.mp4")
    async with asyncio.timeout(60):
        while (await client.get(job.id)).chunks_ready == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await client.aclose()  # as if its process were gone
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    one, two = VideoClient(settings=settings), VideoClient(settings=settings)

    async with one, two:
        ends = await asyncio.gather(one.resume(job.id), two.resume(job.id), return_exceptions=True)
        done = await one.get(job.id)
        events = await one.events(job.id)

    jobs = [end for end in ends if isinstance(end, VideoJob)]
    refused = [end for end in ends if isinstance(end, MediaAgentError)]
    assert len(jobs) == len(refused) == 1
    assert str(refused[0])
    assert done.status is JobStatus.COMPLETED
    assert [e.event.index for e in events if isinstance(e.event, ChunkReady)] == [0, 1, 2, 3]
