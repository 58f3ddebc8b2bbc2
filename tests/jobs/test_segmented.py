"""Videos in segments: one video comes out, each segment is a job, nothing is paid twice."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    GenerationFailedError,
    SubmitUncertainError,
    to_info,
)
from media_agent.jobs import stopping
from media_agent.jobs.run import JobRun
from media_agent.jobs.segment_jobs import SegmentRunner
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.usage import read_usage
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.simulator.videos import write_video
from media_agent.video.audio import Audio, add_audio, fit_audio, to_pcm
from media_agent.video.codec import read_frames
from media_agent.video.container import open_video
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    Budget,
    Capabilities,
    ChangePrompt,
    ChunkReady,
    Cost,
    Estimate,
    Finish,
    GenerationRecord,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobProgressed,
    JobStarted,
    JobStatus,
    Method,
    OperationRef,
    ResumeToken,
    Routing,
    Shot,
    Size,
    VideoMode,
    VideoRequest,
)

DARKEST, LEVEL = 16, 9  # of gray: the first frame, and from one frame to the next
SIZE = Size(width=32, height=32)
REQUEST = VideoRequest(prompt="a dawn", duration=5, model="painter/ramp")


class Crash(BaseException):
    """The process ends here; nothing that follows is done."""


class Provider:
    """A paid service that brightens an image by one level a frame; it outlives our processes."""

    def __init__(self, folder: Path, way: Literal["chain", "new", "whole"] = "chain") -> None:
        self.folder = folder
        self.way = way
        self.price: float | None = 0.5
        self.accepted: list[str] = []
        self.requests: dict[str, VideoRequest] = {}
        self.loses: set[int] = set()
        self.refuses: set[int] = set()
        self.fails: set[str] = set()
        self.stalls = False
        self.is_loud = False
        self.cancelled: set[str] = set()
        self.stalling, self.stalled = asyncio.Event(), asyncio.Event()

    def video(self, key: str) -> Path:
        path = self.folder / f"{key}.mp4"
        if not path.exists():
            request = self.requests[key]
            frames = ramp(self.first_level(request), request.num_frames or 0)
            source = request.inputs[0].path if request.inputs else None
            if self.way == "whole" and source is not None:
                frames = np.concatenate([read_frames(Path(source)), frames])
            write_video(path, frames, fps=4)
            if self.is_loud:
                silent = path.rename(path.with_suffix(".silent"))
                hum = Audio(np.full((1, 48_000 * len(frames) // 4), 0.5, np.float32), 48_000)
                seconds = len(frames) / 4
                sound = to_pcm(hum, hum.samples.size).to_frames()
                add_audio(silent, fit_audio(sound, seconds=seconds), path)
        return path

    def first_level(self, request: VideoRequest) -> int:
        if not request.inputs:
            return 0
        path = Path(request.inputs[0].path or "")
        if path.suffix == ".png":
            from PIL import Image

            return level_of(np.asarray(Image.open(path)))
        return level_of(read_frames(path)[-1:]) + 1


class Painter:
    """One process's way to the provider."""

    name = "painter"

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def capabilities(self, model: str | None = None) -> Capabilities:
        extends = self.provider.way != "chain"
        more = VideoMode.VIDEO_EXTEND if extends else VideoMode.IMAGE_TO_VIDEO
        return Capabilities(
            backend="painter",
            model="ramp",
            models=("ramp",),
            modes=(VideoMode.TEXT_TO_VIDEO, more),
            input_roles=("source_video" if extends else "first_frame",),
            sizes=(SIZE,),
            default_size=SIZE,
            fps_values=(4.0,),
            default_fps=4.0,
            max_duration=2.0,
            seed=True,
            extends=extends,
            lookup="none",
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=self.provider.price)

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        number = len(self.provider.accepted)
        if number in self.provider.refuses:
            raise BackendUnavailableError("no room")
        self.provider.accepted.append(key)
        self.provider.requests[key] = request
        if number in self.provider.loses:
            raise SubmitUncertainError("the connection broke")
        return OperationRef(backend="painter", model="ramp", operation_id=key)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        return None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        yield JobStarted()
        yield JobProgressed(phase="paint", fraction=0.5)
        if self.provider.stalls and len(self.provider.accepted) == 2:
            self.provider.stalling.set()
            await self.provider.stalled.wait()
        if ref.operation_id in self.provider.cancelled:
            yield JobCancelled()
        elif ref.operation_id in self.provider.fails:
            yield JobFailed(error=to_info(GenerationFailedError("a runner died")))
        else:
            video = Artifact(path=str(self.provider.video(ref.operation_id)))
            yield JobCompleted(artifacts=(video,), cost=Cost(usd=0.4), seed=3)

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        raise AssertionError("it takes no command")

    async def cancel(self, ref: OperationRef) -> None:
        self.provider.cancelled.add(ref.operation_id)
        self.provider.stalled.set()

    async def aclose(self) -> None:
        return None


def level_of(frame: NDArray[np.uint8]) -> int:
    return round((float(frame.mean()) - DARKEST) / LEVEL)


def ramp(start: int, count: int) -> NDArray[np.uint8]:
    levels = DARKEST + np.arange(start, start + count) * LEVEL
    return np.broadcast_to(levels[:, None, None, None], (count, 32, 32, 3)).astype(np.uint8)


def levels(path: str | Path) -> list[int]:
    return [level_of(frame) for frame in read_frames(Path(path))]


class World:
    """A data folder, a provider, and one process after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.provider = Provider(folder)
        self.per_day: float | None = None

    def process(self, crash_at: tuple[str, int] | None = None) -> VideoClient:
        """Return the client of a new process; it ends at the n-th time of a step."""
        seen: list[str] = []

        def checkpoint(step: str) -> None:
            seen.append(step)
            if crash_at is not None and (step, seen.count(step)) == crash_at:
                raise Crash

        def factory(settings: BackendSettings) -> Painter:
            return Painter(self.provider)

        return VideoClient(
            settings=load_settings(
                data_dir=self.folder / "data",
                default_backend="painter",
                budget={"max_cost_usd_per_day": self.per_day},
            ),
            registry=Registry(Discovery({"painter": BackendSpec("painter", factory)})),
            store=Ledger(
                self.folder / "data" / "ledger.sqlite",
                is_owner_alive=lambda owner, silent: False,
            ),
            now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
            sleep=lambda seconds: asyncio.sleep(0),
            checkpoint=checkpoint,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.anyio
async def test_a_chain_is_one_video_without_a_doubled_frame(world: World) -> None:
    out = world.folder / "dawn.mp4"

    job = await world.process().generate(REQUEST, out=out, job_id="mine")

    assert job.status is JobStatus.COMPLETED
    assert job.plan.method is Method.CHAIN
    assert levels(out) == list(range(20))
    assert world.provider.accepted == [
        "mine.segment-0001",
        "mine.segment-0002",
        "mine.segment-0003",
    ]
    assert [segment.labels["segment"] for segment in world.provider.requests.values()] == [
        "1",
        "2",
        "3",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["chain", "new", "whole"])
async def test_the_audio_of_segments_lasts_as_long_as_their_frames(
    world: World, way: Literal["chain", "new", "whole"]
) -> None:
    world.provider.way, world.provider.is_loud = way, True
    out = world.folder / "dawn.mp4"

    job = await world.process().generate(REQUEST, out=out)

    assert levels(out) == list(range(20))
    assert not any("audio" in text for text in job.warnings)
    with open_video(out) as media:
        audio = media.streams.audio[0]
        assert float((audio.duration or 0) * (audio.time_base or 0)) == pytest.approx(5.0)


@pytest.mark.anyio
async def test_a_segment_with_a_count_is_made_so_often(world: World) -> None:
    client = world.process()
    plan = await client.plan(REQUEST)
    begin, other, _ = plan.segments
    counted = plan.model_copy(update={"segments": (begin, other.model_copy(update={"count": 2}))})

    job = await client.generate(REQUEST, plans=[counted], job_id="mine")

    assert world.provider.accepted == [
        "mine.segment-0001",
        "mine.segment-0002",
        "mine.segment-0003",
    ]
    frames = (begin.request.num_frames or 0) + 2 * ((other.request.num_frames or 0) - 1)
    assert levels(str(job.artifacts[0].path)) == list(range(frames))


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["new", "whole"])
async def test_an_extended_video_is_one_video_whatever_comes_back(
    world: World, way: Literal["new", "whole"]
) -> None:
    world.provider.way = way

    job = await world.process().generate(REQUEST)

    assert job.plan.method is Method.EXTEND
    assert levels(str(job.artifacts[0].path)) == list(range(20))


@pytest.mark.anyio
async def test_the_record_says_segments_cost_and_words(world: World) -> None:
    out = world.folder / "dawn.mp4"
    shots = (Shot(prompt="dawn", duration=2), Shot(prompt="noon", duration=2))
    request = VideoRequest(shots=shots, model="painter/ramp")

    await world.process().generate(request, out=out)

    record = GenerationRecord.model_validate_json(out.with_suffix(".json").read_bytes())
    assert record.cost.usd == 1.2
    assert record.cost.source == "billed"
    assert [(shot.prompt_asked, shot.prompt_sent) for shot in record.shots] == [
        ("dawn", "dawn"),
        ("noon", "noon"),
    ]
    assert [segment.prompt for segment in world.provider.requests.values()] == [
        "dawn",
        "noon",
        "noon",
    ]
    assert record.frames_delivered == record.frames_planned == 16


@pytest.mark.anyio
async def test_the_ledger_counts_what_the_segments_cost_once(world: World) -> None:
    client = world.process()

    await client.generate(REQUEST)

    assert client.store.submissions.spent(datetime(2026, 1, 1, tzinfo=UTC)) == pytest.approx(1.2)


@pytest.mark.anyio
async def test_segments_are_counted_and_paid_as_their_video_is(world: World) -> None:
    client = world.process()

    job = await client.generate(REQUEST, label="trailer", resale_factor=1.5)

    (row,) = client.store.costs.since(datetime(2026, 1, 1, tzinfo=UTC), "label")
    assert (row.name, row.jobs, row.usd, row.billed_usd) == ("trailer", 1, 1.2, 1.2)
    assert (job.label, job.quote_usd, job.cost_usd, job.cost_source) == (
        "trailer",
        1.5,
        1.2,
        "billed",
    )
    usage = read_usage(client.store.database, datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert sum(each.resale_usd for each in usage) == pytest.approx(1.5 * row.usd)


@pytest.mark.anyio
async def test_events_tell_of_every_segment(world: World) -> None:
    seen: list[JobEvent] = []

    await world.process().generate(REQUEST, on_event=seen.append)

    chunks = [each.event.frames for each in seen if isinstance(each.event, ChunkReady)]
    phases = [each.event.phase for each in seen if isinstance(each.event, JobProgressed)]
    assert sum(chunks) == 20
    assert "segment 2 of 3: paint" in phases
    assert seen[-1].event.type == "job.completed"


@pytest.mark.anyio
@pytest.mark.parametrize("step", ["intent", "submit", "ref", "observe", "collect", "finish"])
@pytest.mark.parametrize("time", [2, 3])
async def test_a_chain_that_ends_anywhere_pays_for_no_segment_twice(
    world: World, step: str, time: int
) -> None:
    with pytest.raises(Crash):
        await world.process((step, time)).generate(REQUEST, job_id="mine")

    job = await world.process().resume("mine")

    accepted = world.provider.accepted
    assert len(accepted) == len(set(accepted))
    if step in ("intent", "submit"):  # nobody can say what became of that segment
        assert job.status in (JobStatus.OUTCOME_UNKNOWN, JobStatus.COMPLETED)
    else:
        assert job.status is JobStatus.COMPLETED
    if job.status is JobStatus.COMPLETED:
        assert levels(str(job.artifacts[0].path)) == list(range(20))


@pytest.mark.anyio
async def test_a_segment_of_unknown_outcome_stops_the_chain_and_keeps_what_was_made(
    world: World,
) -> None:
    world.provider.loses = {1}

    job = await world.process().generate(REQUEST, job_id="mine")

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert job.error.message.startswith("segment 2 (job mine.segment-0002): it is unknown whether")
    assert len(world.provider.accepted) == 2
    assert levels(str(job.artifacts[0].path)) == list(
        range(len(levels(str(job.artifacts[0].path))))
    )


@pytest.mark.anyio
async def test_a_segment_that_is_refused_fails_the_chain_and_says_which(world: World) -> None:
    world.provider.refuses = {1}

    job = await world.process().generate(REQUEST)

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "segment 2" in job.error.message
    assert "no room" in job.error.message


@pytest.mark.anyio
async def test_a_failed_chain_continues_from_its_segments_and_pays_for_the_missing_ones_alone(
    world: World,
) -> None:
    out = world.folder / "dawn.mp4"
    world.provider.fails = {"mine.segment-0002", "mine.segment-0002.2"}

    failed = await world.process().generate(REQUEST, job_id="mine", out=out)
    again = await world.process().resume("mine")
    job = await world.process().resume("mine")

    assert (failed.status, again.status) == (JobStatus.FAILED, JobStatus.FAILED)
    assert failed.error is not None
    assert "media-agent jobs resume mine" in (failed.error.hint or "")
    assert job.status is JobStatus.COMPLETED
    assert job.error is None
    assert levels(out) == list(range(20))
    assert world.provider.accepted == [
        "mine.segment-0001",
        "mine.segment-0002",
        "mine.segment-0002.2",
        "mine.segment-0002.3",
        "mine.segment-0003",
    ]


@pytest.mark.anyio
async def test_a_video_in_segments_keeps_to_the_budget_of_a_day_as_a_whole(world: World) -> None:
    world.per_day = 2.0  # a video has three segments of 0.50, billed at 0.40

    made = await world.process().generate(REQUEST, job_id="made")
    with pytest.raises(BudgetExceededError):
        await world.process().generate(REQUEST)

    assert made.status is JobStatus.COMPLETED
    assert len(world.provider.accepted) == 3


@pytest.mark.anyio
async def test_two_videos_in_segments_at_once_are_not_both_begun_when_the_day_pays_for_one(
    world: World,
) -> None:
    world.per_day = 2.0
    client = world.process()

    jobs = await asyncio.gather(client.generate(REQUEST), client.generate(REQUEST))

    done, refused = sorted(jobs, key=lambda job: job.status is JobStatus.FAILED)
    assert done.status is JobStatus.COMPLETED
    assert refused.error is not None
    assert refused.error.code == "budget_exceeded"
    assert "max_cost_usd_per_day" in (refused.error.hint or "")
    assert len(world.provider.accepted) == 3


@pytest.mark.anyio
async def test_a_segment_that_failed_before_a_crash_is_not_paid_for_again_by_itself(
    world: World,
) -> None:
    world.provider.fails = {"mine.segment-0002"}
    with pytest.raises(Crash):
        await world.process(("finish", 2)).generate(REQUEST, job_id="mine")

    job = await world.process().resume("mine")

    assert job.status is JobStatus.FAILED
    assert world.provider.accepted == ["mine.segment-0001", "mine.segment-0002"]


@pytest.mark.anyio
async def test_a_cancelled_chain_stops_its_segment_and_makes_no_further_one(world: World) -> None:
    world.provider.stalls = True
    client = world.process()

    def on_event(numbered: JobEvent) -> None:
        event = numbered.event
        if isinstance(event, JobProgressed) and event.phase == "segment 2 of 3: paint":
            tasks.append(loop.create_task(client.cancel("mine")))

    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[object]] = []
    job = await client.generate(REQUEST, job_id="mine", on_event=on_event)

    assert job.status is JobStatus.CANCELLED
    assert len(world.provider.accepted) == 2
    assert levels(str(job.artifacts[0].path))[0] == 0


@pytest.mark.anyio
async def test_a_cancelled_chain_continues_when_it_is_resumed(world: World) -> None:
    world.provider.stalls = True
    client = world.process()
    making = asyncio.create_task(client.generate(REQUEST, job_id="mine"))
    await world.provider.stalling.wait()
    await client.cancel("mine")
    cancelled = await making

    job = await world.process().resume("mine")

    assert (cancelled.status, job.status) == (JobStatus.CANCELLED, JobStatus.COMPLETED)
    assert levels(str(job.artifacts[0].path)) == list(range(20))
    assert world.provider.accepted == [
        "mine.segment-0001",
        "mine.segment-0002",
        "mine.segment-0002.2",
        "mine.segment-0003",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("is_resumed", [False, True])
async def test_a_segment_at_its_provider_continues_there_when_the_client_is_closed(
    world: World, is_resumed: bool
) -> None:
    world.provider.stalls = True
    client = world.process()
    key = "k"
    if is_resumed:
        crashing = world.process(("ref", 3))  # of the video, its first segment, the second
        with pytest.raises(Crash):
            await crashing.generate(REQUEST, idempotency_key=key)
    job = await client.start(REQUEST, idempotency_key=key)
    await world.provider.stalling.wait()

    await client.aclose()
    left = client.store.jobs.get(job.id)
    world.provider.stalled.set()
    done = await world.process().resume(job.id)

    assert not left.status.is_terminal
    assert world.provider.cancelled == set()
    assert done.status is JobStatus.COMPLETED
    assert len(world.provider.accepted) == len(set(world.provider.accepted)) == 3


@pytest.mark.anyio
async def test_a_cancelled_chain_that_nobody_works_on_stops_its_segment_at_its_provider(
    world: World,
) -> None:
    crashing = world.process(("ref", 3))  # of the video, its first segment, the second
    with pytest.raises(Crash):
        await crashing.generate(REQUEST, idempotency_key="k", job_id="mine")

    client = world.process()
    job = await client.cancel("mine")
    again = await world.process().resume("mine")

    assert job.status is JobStatus.CANCELLED
    assert len(world.provider.cancelled) == 1
    assert again.status is JobStatus.COMPLETED
    assert len(world.provider.accepted) == 4


@pytest.mark.anyio
async def test_who_lost_a_video_in_segments_does_not_stop_its_segment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0.01)
    has_left, leave = asyncio.Event(), JobRun._leave

    async def noted(run: JobRun) -> None:
        await leave(run)
        if run.job.id == "mine":
            has_left.set()

    monkeypatch.setattr(JobRun, "_leave", noted)
    world.provider.stalls = True
    making = asyncio.create_task(world.process().generate(REQUEST, job_id="mine"))
    await world.provider.stalling.wait()
    world.provider.stalling.clear()
    taking = asyncio.create_task(world.process().resume("mine"))
    await world.provider.stalling.wait()

    await asyncio.wait_for(has_left.wait(), 30)
    making.cancel()  # else each would take it from the other, which it believes to be gone
    await asyncio.wait([making])
    world.provider.stalled.set()

    assert (await asyncio.wait_for(taking, 30)).status is JobStatus.COMPLETED
    assert world.provider.cancelled == set()
    assert len(world.provider.accepted) == 3


@pytest.mark.anyio
async def test_a_segment_that_is_stopped_before_it_began_is_never_sent(world: World) -> None:
    client = world.process()
    plan = await client.plan(REQUEST.model_copy(update={"duration": 2}))
    segments = SegmentRunner(client._running, client.store)

    await segments.stop("segment")
    segment = await segments.run("segment", plan, lambda event: None)

    assert segment.status is JobStatus.CANCELLED
    assert world.provider.accepted == []


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["completed", "failed", "left behind"])
async def test_a_job_that_a_caller_named_like_a_segment_is_no_segment(
    world: World, end: str
) -> None:
    name, short = "mine.segment-0002", REQUEST.model_copy(update={"duration": 2})
    if end == "failed":
        world.provider.fails = {name}
    if end == "left behind":
        making = world.process(("ref", 1)).generate(short, job_id=name)
        with pytest.raises(Crash):
            await making
    else:
        await world.process().generate(short, job_id=name)
    before = world.process().store.jobs.get(name)

    job = await world.process().generate(REQUEST, job_id="mine")

    assert job.status is JobStatus.COMPLETED
    assert levels(str(job.artifacts[0].path)) == list(range(20))
    segments = ["mine.segment-0001", "mine.segment-0002.2", "mine.segment-0003"]
    assert world.provider.accepted == [name, *segments]
    assert world.process().store.jobs.get(name) == before


@pytest.mark.anyio
async def test_a_job_that_a_caller_named_like_a_segment_is_not_stopped_with_the_video(
    world: World,
) -> None:
    client = world.process()
    short = REQUEST.model_copy(update={"duration": 2})
    with pytest.raises(Crash):
        await world.process(("ref", 1)).generate(short, job_id="mine.segment-0001")
    segments = SegmentRunner(client._running, client.store)

    await segments.stop("mine.segment-0001", part_of="mine")

    assert world.provider.cancelled == set()
    assert not client.store.jobs.get("mine.segment-0001").status.is_terminal


@pytest.mark.anyio
async def test_an_endless_chain_ends_when_told_to_finish(world: World) -> None:
    world.provider.price = 0.0
    client = world.process()

    def on_event(numbered: JobEvent) -> None:
        if isinstance(numbered.event, ChunkReady) and numbered.event.index == 1:
            tasks.append(loop.create_task(client.finish("mine")))

    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[object]] = []
    request = VideoRequest(prompt="a dawn", endless=True, model="painter/ramp")
    job = await client.generate(request, job_id="mine", on_event=on_event)

    assert job.status is JobStatus.COMPLETED
    assert len(world.provider.accepted) in (2, 3)
    made = levels(str(job.artifacts[0].path))
    assert made == list(range(len(made)))


@pytest.mark.anyio
async def test_a_chain_told_to_finish_keeps_every_segment_that_was_begun_before_a_kill(
    world: World,
) -> None:
    world.provider.price = 0.0
    client = world.process(("finish", 2))

    def on_event(numbered: JobEvent) -> None:
        if isinstance(numbered.event, ChunkReady) and numbered.event.index == 0:
            tasks.append(loop.create_task(client.finish("mine")))

    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[object]] = []
    request = VideoRequest(prompt="a dawn", endless=True, model="painter/ramp")
    with pytest.raises(Crash):
        await client.generate(request, job_id="mine", on_event=on_event)
    begun = list(world.provider.accepted)

    job = await world.process().resume("mine")

    assert job.status is JobStatus.COMPLETED
    assert len(begun) > 1
    assert world.provider.accepted == begun
    made = levels(str(job.artifacts[0].path))
    assert made == list(range(len(made)))
    assert job.chunks_ready == len(begun)


@pytest.mark.anyio
async def test_preferences_are_routed(world: World) -> None:
    request = VideoRequest(
        prompt="a dawn",
        duration=3,
        routing=Routing(prefer="cheapest", allow=("painter",)),
        budget=Budget(max_cost_usd=1),
    )
    client = world.process()

    report = await client.plan_all(request)
    job = await client.generate(request)

    assert report.chosen is not None
    assert (job.plan.model, job.plan.method) == ("ramp", Method.CHAIN)
    assert job.status is JobStatus.COMPLETED


@pytest.mark.anyio
@pytest.mark.parametrize(
    "trouble", [TypeError("no such option"), MemoryError(), OSError(28, "full")]
)
@pytest.mark.parametrize(
    "place", ["media_agent.ingest.read.read_last_image", "media_agent.video.concat.join_videos"]
)
async def test_trouble_of_our_own_between_paid_segments_keeps_them(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str, trouble: Exception
) -> None:
    def breaks(*arguments: object, **options: object) -> None:
        raise trouble

    with monkeypatch.context() as patched:
        patched.setattr(place, breaks)
        broken = await world.process().generate(REQUEST, job_id="mine")
    paid = list(world.provider.accepted)
    job = await world.process().resume("mine")

    assert broken.status is not JobStatus.COMPLETED
    assert "jobs resume mine" in str(broken.error and broken.error.hint)
    assert paid
    assert job.status is JobStatus.COMPLETED
    assert len(world.provider.accepted) == len(set(world.provider.accepted)) == 3
