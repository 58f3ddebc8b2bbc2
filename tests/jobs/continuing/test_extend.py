"""Videos from outside that are continued: the whole of it, of the source's size and rate."""

from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
import pytest

from media_agent.backend.generating.context import Operation
from media_agent.backend.local import Chunk, GenerationContext, LocalBackend
from media_agent.backend.protocol import BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import IdempotencyConflictError, InvalidRequestError, JobError
from media_agent.provenance.record import read_record
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.storage.files import sha256_of
from media_agent.testing import frames_of
from media_agent.testing.simulator.videos import write_video
from media_agent.tools import ToolBox
from media_agent.video.probe import describe
from media_agent_schemas import (
    Capabilities,
    Estimate,
    InputRole,
    JobCompleted,
    JobStarted,
    JobStatus,
    OptionSpec,
    ResumeToken,
    SourceJoin,
    VideoJob,
    VideoMode,
    VideoRequest,
)

pytestmark = pytest.mark.anyio

SIDE, FPS = 32, 10
NEW = 200
"""The gray of what the model makes."""


class Continuer(LocalBackend):
    """Continues any video by gray frames of its own size and rate; "whole" returns the source."""

    @property
    def name(self) -> str:
        return "continuer"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="continuer",
            model=model or "part",
            models=("part", "whole"),
            modes=(VideoMode.VIDEO_EXTEND, VideoMode.TEXT_TO_VIDEO),
            input_roles=(InputRole.SOURCE_VIDEO,),
            fps_values=(float(FPS),),
            default_fps=float(FPS),
            default_duration=1.0,
            resubmits=True,
            seed=True,
            options=(OptionSpec(name="strength", type="integer", description="How strongly."),),
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        frames = np.full((request.num_frames or 0, SIDE, SIDE, 3), NEW, np.uint8)
        yield Chunk(0, frames)


class Returner(Continuer):
    """Returns the source, which it takes to be 2 s long, with what it made, as some services do."""

    def work(self, operation: Operation) -> None:
        path = operation.work_dir / "whole.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = 2 * FPS + (operation.request.num_frames or 0)
        write_video(path, np.full((frames, SIDE, SIDE, 3), NEW, np.uint8), fps=FPS)
        operation.log.publish(JobStarted())
        operation.log.publish(JobCompleted(artifacts=(describe(path),)))


class Namer(Continuer):
    """Has a name of its own for what it made."""

    def work(self, operation: Operation) -> None:
        path = operation.work_dir / "named.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = operation.request.num_frames or 0
        write_video(path, np.full((frames, SIDE, SIDE, 3), NEW, np.uint8), fps=FPS)
        operation.log.publish(JobStarted())
        named = describe(path).model_copy(update={"own_id": "v-1"})
        operation.log.publish(JobCompleted(artifacts=(named,)))


class Other(Continuer):
    """Another one, which knows nothing of what others made."""

    @property
    def name(self) -> str:
        return "other"


class ShortContinuer(Continuer):
    """Makes at most a second at once."""

    def capabilities(self, model: str | None = None) -> Capabilities:
        return super().capabilities(model).model_copy(update={"max_duration": 1.0, "extends": True})


class Resumer(Continuer):
    """Makes a second at a time, each from the state that the one before it left."""

    def capabilities(self, model: str | None = None) -> Capabilities:
        changes = {"chunk_seconds": 1.0, "max_shots": None, "resumable": True, "extends": True}
        return super().capabilities(model).model_copy(update=changes)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first = 0 if context.resume is None else context.resume.next_chunk
        for index in range(first, 100):
            token = ResumeToken(backend="continuer", model="part", next_chunk=index + 1)
            yield Chunk(index, np.full((FPS, SIDE, SIDE, 3), NEW + 10 * index, np.uint8), token)


@pytest.fixture
async def client(tmp_path: Path, anyio_backend: str) -> AsyncIterator[VideoClient]:
    async with client_of(Continuer, tmp_path) as client:
        yield client


def client_of(
    factory: type[Continuer],
    folder: Path,
    checkpoint: Callable[[str], None] = lambda step: None,
    **others: type[Continuer],
) -> VideoClient:
    (folder / "none.toml").touch()
    settings = load_settings(config=folder / "none.toml", data_dir=folder / "data")
    factories = {"continuer": factory, **others}
    specs = {name: BackendSpec(name=name, factory=each) for name, each in factories.items()}
    registry = Registry(Discovery(specs))
    return VideoClient(settings=settings, registry=registry, checkpoint=checkpoint)


def source(folder: Path, *, width: int = 64, height: int = 32, fps: float = 20.0) -> Path:
    """Write a video of 40 frames, as bright as their number."""
    path = folder / "mine.mp4"
    levels = [np.full((height, width, 3), 4 * level, np.uint8) for level in range(40)]
    write_video(path, np.stack(levels), fps=fps)
    return path


def lose(job: VideoJob, way: str) -> None:
    video = Path(job.artifacts[0].path or "")
    video.unlink() if way == "gone" else video.write_bytes(b"another")


def joined_of(job: VideoJob) -> SourceJoin:
    assert job.status is JobStatus.COMPLETED, job.error
    assert job.artifacts[0].joined is not None, job.warnings
    return job.artifacts[0].joined


async def test_a_file_is_extended_to_the_whole_video_in_its_own_size_and_rate(
    client: VideoClient, tmp_path: Path
) -> None:
    mine = source(tmp_path)

    job = await client.extend(mine, prompt="gray", duration=1, model="continuer")

    joined, frames = joined_of(job), frames_of(job)
    assert (joined.seconds, joined.new_frames, joined.encoded_again) == (2.0, FPS, True)
    assert (str(joined.scaled_from), joined.resampled_from) == ("32x32", float(FPS))
    assert frames.shape == (60, 32, 64, 3)
    assert [abs(float(frames[n].mean()) - 4 * n) < 3 for n in range(40)] == [True] * 40
    middle, edge = frames[50][16, 32].mean(), frames[50][16, 4].mean()
    assert abs(middle - NEW) < 4, "the new part, in its own proportions"
    assert edge < 4, "and black beside it"
    assert any("scaled from 32x32" in said for said in job.warnings)


async def test_the_record_names_the_source_and_where_the_new_part_begins(
    client: VideoClient, tmp_path: Path
) -> None:
    mine = source(tmp_path)

    job = await client.extend(mine, prompt="gray", duration=1, model="continuer")

    record = read_record(job)
    assert record is not None
    assert record.artifacts[0].joined == joined_of(job)
    assert (joined_of(job).source, joined_of(job).sha256) == (str(mine), sha256_of(mine))
    assert [(shot.start, shot.end) for shot in record.shots] == [(2.0, 3.0)]
    assert (record.frames_planned, record.frames_delivered) == (FPS, 60)
    assert record.fraction_delivered == 1.0


async def test_what_is_encoded_alike_is_joined_without_encoding_a_frame_again(
    client: VideoClient, tmp_path: Path
) -> None:
    mine = source(tmp_path, width=SIDE, height=SIDE, fps=FPS)

    job = await client.extend(mine, prompt="gray", duration=1, model="continuer")

    assert not joined_of(job).encoded_again
    assert len(frames_of(job)) == 40 + FPS
    assert job.warnings == ()


async def test_only_the_new_part_is_what_the_model_made(
    client: VideoClient, tmp_path: Path
) -> None:
    job = await client.extend(
        source(tmp_path), prompt="gray", duration=1, model="continuer", only_new=True
    )

    assert job.artifacts[0].joined is None
    assert frames_of(job).shape == (FPS, SIDE, SIDE, 3)


async def test_a_source_that_changed_meanwhile_loses_no_new_part(tmp_path: Path) -> None:
    mine = source(tmp_path)

    def change(step: str) -> None:
        if step == "observe":
            source(tmp_path, width=48)

    async with client_of(Continuer, tmp_path, change) as client:
        job = await client.extend(mine, prompt="gray", duration=1, model="continuer")

    assert job.status is JobStatus.COMPLETED, job.error
    assert frames_of(job).shape == (FPS, SIDE, SIDE, 3)
    (said,) = [said for said in job.warnings if "only the new part is delivered" in said]
    assert f"{mine} has changed since it was sent" in said


@pytest.mark.parametrize("error", [ValueError("damaged"), RuntimeError("odd"), MemoryError()])
async def test_whatever_breaks_the_joining_loses_no_new_part(
    client: VideoClient, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("media_agent.ingest.extend.join_source", fail)

    job = await client.extend(source(tmp_path), prompt="gray", duration=1, model="continuer")

    assert job.status is JobStatus.COMPLETED, job.error
    assert frames_of(job).shape == (FPS, SIDE, SIDE, 3)
    assert any("only the new part is delivered" in said for said in job.warnings)


async def test_what_a_backend_returned_as_a_whole_is_not_joined_again(tmp_path: Path) -> None:
    async with client_of(Returner, tmp_path) as client:
        job = await client.extend(
            source(tmp_path), prompt="gray", duration=1, model="continuer", out=tmp_path / "o.mp4"
        )

    joined = joined_of(job)
    assert (joined.by_backend, joined.seconds, joined.new_frames) == (True, 2.0, FPS)
    assert len(frames_of(job)) == 3 * FPS


async def test_an_extension_in_segments_is_joined_with_its_source_too(tmp_path: Path) -> None:
    async with client_of(ShortContinuer, tmp_path) as client:
        mine = source(tmp_path)
        _, (plan, *_) = await client.plan_extension(
            mine, prompt="gray", duration=3, model="continuer"
        )
        job = await client.extend(mine, prompt="gray", duration=3, model="continuer")

    joined, frames = joined_of(job), frames_of(job)
    assert (plan.submissions, plan.request.join_source) == (3, True)
    assert (joined.seconds, joined.new_frames) == (2.0, 3 * FPS)
    assert frames.shape == (40 + 2 * 3 * FPS, 32, 64, 3)
    assert [abs(float(frames[n].mean()) - 4 * n) < 3 for n in range(40)] == [True] * 40
    assert abs(frames[-1][16, 32].mean() - NEW) < 4, "the new part, to its end"


@pytest.mark.parametrize("only_new", [True, False])
async def test_a_source_that_claims_to_last_for_years_is_said_before_anything_is_made(
    client: VideoClient, tmp_path: Path, only_new: bool
) -> None:
    with av.open(str(tmp_path / "long.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 10)
        stream.width = stream.height = SIDE
        for time in (0, 10, 10**9):
            frame = av.VideoFrame.from_ndarray(np.zeros((SIDE, SIDE, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))

    _, (plan, *_) = await client.plan_extension(
        tmp_path / "long.mkv", prompt="gray", duration=1, model="continuer", only_new=only_new
    )

    said = [said for said in plan.warnings if "the source claims to last 1000000" in said]
    assert len(said) == (0 if only_new else 1), plan.warnings


async def test_a_job_that_extended_a_file_is_extended_with_that_file_in_front(
    tmp_path: Path,
) -> None:
    mine = source(tmp_path)
    async with client_of(Resumer, tmp_path) as client:
        first = await client.extend(mine, prompt="gray", duration=2, model="continuer")

        job = await client.extend(first.id, prompt="lighter", duration=1)
        early = await client.branch(first.id, at=1, prompt="lighter", duration=1)

    joined, frames = joined_of(job), frames_of(job)
    assert (joined.source, joined.seconds, joined.new_frames) == (str(mine), 2.0, 3 * FPS)
    assert frames.shape == (40 + 2 * 3 * FPS, 32, 64, 3)
    assert [abs(float(frames[n].mean()) - 4 * n) < 3 for n in range(40)] == [True] * 40
    middle = [float(frames[n][16, 32].mean()) for n in (50, 70, 90)]
    assert middle == pytest.approx([NEW, NEW + 10, NEW + 20], abs=4)
    record = read_record(job)
    assert record is not None
    assert [(shot.start, shot.end) for shot in record.shots] == [(2.0, 4.0), (4.0, 5.0)]
    assert len(frames_of(early)) == 40 + 2 * 2 * FPS


@pytest.mark.parametrize("way", ["changed", "gone"])
async def test_a_job_whose_source_is_lost_is_extended_without_it_and_says_so(
    way: str, tmp_path: Path
) -> None:
    mine = source(tmp_path)
    async with client_of(Resumer, tmp_path) as client:
        first = await client.extend(mine, prompt="gray", duration=2, model="continuer")
        mine.unlink() if way == "gone" else source(tmp_path, width=48)

        job = await client.extend(first.id, prompt="lighter", duration=1)

    assert job.status is JobStatus.COMPLETED, job.error
    assert frames_of(job).shape == (3 * FPS, SIDE, SIDE, 3)
    (said,) = [said for said in job.warnings if "is continued, not the source" in said]
    assert str(mine) in said


async def test_what_was_new_alone_is_extended_alone(tmp_path: Path) -> None:
    async with client_of(Resumer, tmp_path) as client:
        first = await client.extend(
            source(tmp_path), prompt="gray", duration=2, model="continuer", only_new=True
        )

        job = await client.extend(first.id, prompt="lighter", duration=1)

    assert frames_of(job).shape == (3 * FPS, SIDE, SIDE, 3)
    assert job.warnings == ()


async def test_an_agent_extends_a_file_once_however_often_it_asks(
    client: VideoClient, tmp_path: Path
) -> None:
    box = ToolBox(client)
    wanted = {"file": str(source(tmp_path)), "prompt": "gray", "duration": "1", "job_id": ""}

    once: Any = await box.call("extend_video", wanted | {"model": "continuer"})
    again: Any = await box.call("extend_video", wanted | {"model": "continuer"})
    done: Any = await box.call("wait_video", {"job_id": once["job_id"], "seconds": 60})

    assert once["job_id"] == again["job_id"]
    assert (done["status"], done["seconds"], done["frame_size"]) == ("completed", 3.0, "64x32")


async def test_a_job_without_states_is_continued_from_its_delivered_video(
    client: VideoClient,
) -> None:
    first = await client.generate(VideoRequest(prompt="a", model="continuer"))
    video = first.artifacts[0].path

    job = await client.extend(first.id, prompt="b", duration=2)

    joined, record = joined_of(job), read_record(job)
    assert (joined.source, joined.seconds, joined.new_frames) == (video, 1.0, 2 * FPS)
    assert record is not None
    (said,) = [each for each in record.adjusted if each.field == "inputs[0]"]
    assert (said.asked, said.used) == (f"job {first.id}", video)
    assert said.reason == (
        "continuer/part keeps no state to continue from: its delivered video is continued, from "
        "its last frames"
    )
    assert (job.plan.backend, job.plan.model) == ("continuer", "part")


async def test_a_job_without_states_is_continued_on_terms_of_its_own(client: VideoClient) -> None:
    first = await client.generate(VideoRequest(prompt="a", model="continuer"))

    job = await client.extend(
        first.id, prompt="b", duration=1, model="continuer/whole", only_new=True
    )

    assert job.plan.model == "whole"
    assert len(frames_of(job)) == FPS


@pytest.mark.parametrize(
    ("model", "own_id"), [(None, "v-1"), ("continuer/whole", "v-1"), ("other/part", None)]
)
async def test_the_id_of_a_delivered_video_is_told_to_nobody_but_its_maker(
    model: str | None, own_id: str | None, tmp_path: Path
) -> None:
    async with client_of(Namer, tmp_path, other=Other) as client:
        first = await client.generate(VideoRequest(prompt="a", model="continuer"))

        job = await client.extend(first.id, prompt="b", duration=1, model=model, only_new=True)

    assert first.artifacts[0].own_id == "v-1"
    assert job.request.inputs[0].own_id == own_id


@pytest.mark.parametrize("way", ["gone", "changed"])
async def test_a_delivered_video_that_is_lost_is_not_continued(
    client: VideoClient, tmp_path: Path, way: str
) -> None:
    first = await client.generate(VideoRequest(prompt="a", model="continuer"))
    lose(first, way)

    with pytest.raises(JobError, match=r"keeps no state .* its video .* is gone or was changed"):
        await client.extend(first.id, prompt="b")


async def test_a_delivered_video_is_continued_once_however_often_it_is_asked(
    client: VideoClient,
) -> None:
    first = await client.generate(VideoRequest(prompt="a", model="continuer"))
    wanted: Any = {"prompt": "b", "duration": 1, "idempotency_key": "k"}

    once = await client.extend(first.id, **wanted)
    lose(first, "gone")
    again = await client.extend(first.id, **wanted)

    assert again.id == once.id
    with pytest.raises(IdempotencyConflictError):
        await client.extend(first.id, **{**wanted, "duration": 2})


async def test_an_agent_says_with_what_a_delivered_video_is_continued(client: VideoClient) -> None:
    box = ToolBox(client)
    first = await client.generate(VideoRequest(prompt="a", model="continuer"))
    wanted = {"job_id": first.id, "prompt": "b", "seed": 3, "policy": "strict", "only_new": True}

    once: Any = await box.call("extend_video", wanted | {"options": ["strength=2"]})
    refused: Any = await box.call("extend_video", wanted | {"options": ["power=2"]})
    dear: Any = await box.call("extend_video", wanted | {"max_cost_usd": -1})

    job = await client.get(once["job_id"])
    assert (job.request.seed, job.plan.policy) == (3, "strict")
    assert job.request.options == {"continuer": {"strength": 2}}
    assert "option power" in refused["error"]["message"]
    assert "max_cost_usd" in dear["error"]["message"]


async def test_a_job_is_extended_as_a_whole_with_what_is_its_own(tmp_path: Path) -> None:
    async with client_of(Resumer, tmp_path) as client:
        job = await client.generate(VideoRequest(prompt="a", duration=1, model="continuer"))

        with pytest.raises(
            InvalidRequestError, match="with its own model, size, options and seed"
        ) as caught:
            await client.extend(job.id, prompt="b", seed=3, only_new=True)

    assert "leave out seed and only_new" in str(caught.value.hint)


async def test_what_is_neither_a_job_nor_a_file_is_refused(client: VideoClient) -> None:
    with pytest.raises(InvalidRequestError, match="neither a job nor a file"):
        await client.extend("nothing.mp4", prompt="b")


async def test_a_source_is_joined_only_with_what_continues_it() -> None:
    with pytest.raises(ValueError, match="join_source needs a video to continue"):
        VideoRequest(prompt="a", join_source=True)
