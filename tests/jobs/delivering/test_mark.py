"""Watermarks and labels of jobs: written where frames are encoded, found again, and recorded."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media_agent.backend.generating.context import Operation
from media_agent.backend.local import Chunk, GenerationContext, LocalBackend
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import GenerationFailedError, InvalidRequestError
from media_agent.jobs.find_marked import find_marked
from media_agent.provenance.record import read_record
from media_agent.provenance.watermark.payload import find_payload, to_hex
from media_agent.provenance.watermark.read import read_watermark
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.storage.files import sha256_of
from media_agent.testing import events_of, frames_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.audio import Audio, add_audio, fit_audio, to_pcm
from media_agent.video.codec import read_frames
from media_agent.video.probe import describe, probe
from media_agent_schemas import (
    Capabilities,
    Estimate,
    InputRole,
    JobCompleted,
    JobStarted,
    JobStatus,
    ResumeToken,
    VideoJob,
    VideoMode,
    VideoRequest,
)

pytestmark = pytest.mark.anyio

SIDE, FPS = 160, 12
REQUEST = VideoRequest(prompt="a field", num_frames=24, seed=1)
Frames = NDArray[np.uint8]


def scene(first: int, count: int, *, side: int = SIDE) -> Frames:
    """Return frames that pan over a texture."""
    random = np.random.default_rng(5)
    wide = random.normal(0, 1, (side, side + 200))
    for _ in range(3):
        wide = (
            wide + np.roll(wide, 1, 0) + np.roll(wide, 1, 1) + np.roll(wide, (1, 1), (0, 1))
        ) / 4
    levels = np.clip(120 + 40 * wide / wide.std(), 0, 255).astype(np.uint8)
    shown = [levels[:, number : number + side] for number in range(first, first + count)]
    return np.stack(shown)[..., None].repeat(3, -1)


class Camera(LocalBackend):
    """Shows a scene, six frames at a time; continues any video by the same scene."""

    kind = "camera"
    fails_at: int | None = None
    side = SIDE
    longest: float | None = None

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="camera",
            model="one",
            modes=(
                VideoMode.TEXT_TO_VIDEO,
                VideoMode.VIDEO_EXTEND,
                VideoMode.IMAGE_TO_VIDEO,
            ),
            input_roles=(InputRole.SOURCE_VIDEO, InputRole.FIRST_FRAME),
            fps_values=(float(FPS),),
            default_fps=float(FPS),
            max_duration=self.longest,
            max_shots=None,
            resumable=True,
            resubmits=True,
            seed=True,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first = 0 if context.resume is None else context.resume.next_chunk
        for index in range(first, 20):
            if index == self.fails_at:
                raise GenerationFailedError("as told")
            token = ResumeToken(backend="camera", model="one", next_chunk=index + 1)
            yield Chunk(index, scene(6 * index, 6, side=self.side), token)


class Service(Camera):
    """Delivers a file that was encoded elsewhere, with sound."""

    def work(self, operation: Operation) -> None:
        folder = operation.work_dir
        folder.mkdir(parents=True, exist_ok=True)
        frames = operation.request.num_frames or 0
        write_video(folder / "silent.mp4", scene(0, frames, side=self.side), fps=FPS)
        hum = Audio(np.full((1, 48_000 * frames // FPS), 0.3, np.float32), 48_000)
        sound = fit_audio(to_pcm(hum, hum.samples.size).to_frames(), seconds=frames / FPS)
        add_audio(folder / "silent.mp4", sound, folder / "made.mp4")
        operation.log.publish(JobStarted())
        operation.log.publish(JobCompleted(artifacts=(describe(folder / "made.mp4"),)))


@asynccontextmanager
async def client_of(
    kind: type[Camera], folder: Path, **provenance: str
) -> AsyncIterator[VideoClient]:
    settings = load_settings(
        data_dir=folder / "data", default_backend="camera", provenance=provenance
    )
    registry = Registry(Discovery({"camera": BackendSpec("camera", kind)}))
    async with VideoClient(settings=settings, registry=registry) as client:
        yield client


def payloads(job: VideoJob) -> list[int]:
    return [each.payload for each in read_watermark(video_of(job))]


def video_of(job: VideoJob) -> Path:
    assert job.status is JobStatus.COMPLETED, job.error
    return Path(str(job.artifacts[0].path))


async def test_without_being_asked_nothing_is_marked(tmp_path: Path) -> None:
    async with client_of(Camera, tmp_path) as client:
        job = await client.generate(REQUEST)

    assert payloads(job) == []
    assert job.artifacts[0].marking is None
    assert np.abs(read_frames(video_of(job)).astype(int) - scene(0, 24)).mean() < 2


async def test_a_watermark_of_the_settings_finds_its_job_and_is_recorded(tmp_path: Path) -> None:
    async with client_of(Camera, tmp_path, watermark="encoded") as client:
        await client.generate(REQUEST)
        job = await client.generate(REQUEST)
        found = find_marked(client.store, payloads(job)[0])
        unknown = find_marked(client.store, find_payload("of somebody else"))

    record = read_record(job)
    assert (found, unknown) == ((job.id,), ())
    assert record is not None
    assert record.artifacts[0].marking == job.artifacts[0].marking
    assert job.artifacts[0].marking is not None
    assert job.artifacts[0].marking.watermark == to_hex(find_payload(job.id))
    [change] = [each for each in record.adjusted if each.field == "watermark"]
    assert (change.asked, change.used) == (None, "encoded")


async def test_all_jobs_that_share_a_payload_are_named(tmp_path: Path) -> None:
    async with client_of(Camera, tmp_path, watermark="encoded") as client:
        for job_id in ("mine", "mine.segment-0001"):  # the second name was chosen, it is no segment
            await client.generate(REQUEST, job_id=job_id)

        assert find_marked(client.store, find_payload("mine")) == ("mine", "mine.segment-0001")


async def test_a_removed_job_is_still_found(tmp_path: Path) -> None:
    async with client_of(Camera, tmp_path, watermark="encoded") as client:
        job = await client.generate(REQUEST, out=tmp_path / "kept.mp4")
        client.store.jobs.remove(job.id)

        assert find_marked(client.store, payloads(job)[0]) == (job.id,)


async def test_one_request_alone_can_ask_for_it(tmp_path: Path) -> None:
    asked = REQUEST.model_copy(update={"watermark": "encoded", "n": 1})
    async with client_of(Camera, tmp_path) as client:
        marked, plain = await client.generate(asked), await client.generate(REQUEST)

    assert payloads(marked) == [find_payload(marked.id)]
    assert payloads(plain) == []


async def test_a_request_can_ask_for_more_than_the_settings_and_not_for_less(
    tmp_path: Path,
) -> None:
    less = REQUEST.model_copy(update={"watermark": "encoded"})
    async with client_of(Service, tmp_path, watermark="all") as client:
        assert (await client.plan(less)).request.watermark == "all"
    async with client_of(Service, tmp_path, watermark="encoded") as client:
        more = REQUEST.model_copy(update={"watermark": "all"})
        assert (await client.plan(more)).request.watermark == "all"
        assert (await client.plan(REQUEST)).request.watermark == "encoded"


async def test_a_resumed_video_has_the_frames_of_an_undisturbed_one(tmp_path: Path) -> None:
    request = REQUEST.model_copy(
        update={"watermark": "encoded", "visible_label": "AI-generated", "fps": float(FPS)}
    )

    async def make(folder: str, fails_at: int | None) -> Frames:
        backend = Camera(BackendSettings(data_dir=tmp_path / folder))
        backend.fails_at = fails_at
        events = await events_of(backend, await backend.submit(request, key="job-1"))
        if fails_at is not None:
            token = [each for each in events if each.type == "chunk.ready"][-1].resume
            backend.fails_at = None
            ref = await backend.submit(request, key="job-1", resume=token)
            events = await events_of(backend, ref)
        return frames_of(events[-1])

    assert np.array_equal(await make("whole", None), await make("broken", 2))


class BranchingCamera(Camera):
    """Can leave a video at each of its chunks."""

    def capabilities(self, model: str | None = None) -> Capabilities:
        changes = {"chunk_seconds": 0.5, "extends": True}
        return super().capabilities(model).model_copy(update=changes)


async def test_a_branch_has_its_own_mark_behind_that_of_its_parent(tmp_path: Path) -> None:
    async with client_of(BranchingCamera, tmp_path, watermark="encoded") as client:
        parent = await client.generate(REQUEST)
        branch = await client.branch(parent.id, at=2, prompt="a forest", duration=7.0)

    marking = branch.artifacts[0].marking
    assert marking is not None
    assert marking.start == pytest.approx(1.0)
    assert marking.watermark == to_hex(find_payload(branch.id))
    assert find_payload(branch.id) in payloads(branch)


async def test_a_download_stays_as_it_came_unless_all_are_to_be_marked(tmp_path: Path) -> None:
    async with client_of(Service, tmp_path, watermark="encoded") as client:
        job = await client.generate(REQUEST, job_id="mine")
        assert job.artifacts[0].marking is None
        assert payloads(job) == []

    async with client_of(Service, tmp_path, watermark="all") as client:
        job = await client.generate(REQUEST, job_id="other")
        assert payloads(job) == [find_payload("other")]

    made = probe(video_of(job))
    assert (made.frames, made.fps, made.has_audio) == (24, FPS, True)
    assert any("encoded again" in text for text in job.warnings)
    assert job.artifacts[0].sha256 == sha256_of(video_of(job))


async def test_a_download_that_cannot_be_marked_is_delivered_as_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise InvalidRequestError("it is too long")

    monkeypatch.setattr("media_agent.ingest.mark.encode_with_mark", fail)
    async with client_of(Service, tmp_path, watermark="all") as client:
        job = await client.generate(REQUEST)

    assert probe(video_of(job)).frames == 24
    assert job.artifacts[0].marking is None
    assert any("no watermark" in text and "too long" in text for text in job.warnings)


@pytest.mark.parametrize("kind", [Camera, Service])
async def test_a_label_is_drawn_wherever_the_video_was_encoded(
    tmp_path: Path, kind: type[Camera]
) -> None:
    async with client_of(kind, tmp_path) as client:
        plain = await client.generate(REQUEST)
        labelled = await client.generate(
            REQUEST.model_copy(update={"visible_label": "AI-generated"})
        )

    change = np.abs(read_frames(video_of(labelled)).astype(int) - read_frames(video_of(plain)))
    assert change[:, -16:, -70:].mean() > 30
    assert change[:, :100].mean() < 3
    marking = labelled.artifacts[0].marking
    assert marking is not None
    assert (marking.label, marking.watermark) == ("AI-generated", None)


async def test_a_label_without_room_is_refused_before_any_work(tmp_path: Path) -> None:
    asked = VideoRequest.model_validate(
        {**REQUEST.model_dump(exclude_none=True), "size": {"width": 64, "height": 64}}
        | {"visible_label": "this video was generated by a machine"}
    )
    async with client_of(Camera, tmp_path) as client:
        with pytest.raises(InvalidRequestError, match="cannot be read in frames of 64x64"):
            await client.generate(asked)


class TinyCamera(Camera):
    """Frames that have no room for a watermark."""

    side = 32


class TinyService(Service):
    """The same, encoded elsewhere."""

    side = 32


@pytest.mark.parametrize("kind", [TinyCamera, TinyService])
async def test_frames_without_room_for_a_mark_have_none_and_it_is_said(
    tmp_path: Path, kind: type[Camera]
) -> None:
    asked = VideoRequest.model_validate(
        {**REQUEST.model_dump(exclude_none=True), "size": {"width": 32, "height": 32}}
    )
    async with client_of(kind, tmp_path, watermark="all") as client:
        job = await client.generate(asked)

    assert job.artifacts[0].marking is None
    assert job.artifacts[0].sha256 == sha256_of(video_of(job))
    assert any("get no watermark" in text for text in job.warnings)
    assert not any("encoded again" in text for text in job.warnings)


class ShortCamera(Camera):
    """Makes a second at once."""

    longest = 1.0


class ShortService(Service):
    """Makes a second at once, elsewhere."""

    longest = 1.0


@pytest.mark.parametrize("kind", [ShortCamera, ShortService])
async def test_all_segments_have_the_mark_of_the_whole(tmp_path: Path, kind: type[Camera]) -> None:
    async with client_of(kind, tmp_path, watermark="all") as client:
        job = await client.generate(REQUEST, job_id="whole")

    assert job.plan.submissions == 3
    assert payloads(job) == [find_payload("whole")]
    assert job.artifacts[0].marking is not None
    assert not any("differ in their encoding" in text for text in job.warnings)


async def test_segments_are_labelled_once_when_they_are_joined(tmp_path: Path) -> None:
    asked = REQUEST.model_copy(update={"visible_label": "AI-generated"})
    async with client_of(ShortCamera, tmp_path) as client:
        job = await client.generate(asked, job_id="whole")
        first = client.store.jobs.get("whole.segment-0001")

    frames, segment = read_frames(video_of(job)), read_frames(video_of(first))
    assert np.abs(frames[0, -16:, -70:].astype(int) - segment[0, -16:, -70:]).mean() > 30
    assert first.plan.request.visible_label is None
    assert job.artifacts[0].marking is not None
    assert job.artifacts[0].marking.label == "AI-generated"


@pytest.mark.parametrize("other_size", [False, True])
async def test_of_a_continued_video_only_the_new_part_is_marked(
    tmp_path: Path, other_size: bool
) -> None:
    source = tmp_path / "source.mp4"
    write_video(source, scene(0, 36, side=SIDE + 32 * other_size), fps=FPS)
    async with client_of(Camera, tmp_path, watermark="encoded") as client:
        job = await client.extend(source, prompt="a field", duration=3.0)

    assert job.artifacts[0].marking is not None
    assert job.artifacts[0].marking.start == pytest.approx(3.0)
    assert payloads(job) == [find_payload(job.id)]
    frames = read_frames(video_of(job))
    kept = frames[:36].astype(int) - read_frames(source)
    assert np.abs(kept).mean() < (2.0 if other_size else 0.01)
