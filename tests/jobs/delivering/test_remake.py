"""What is found in a finished video may warn, fail the job, or be made again with another seed."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, state_name
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.provenance.record import read_record
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing import frames_of
from media_agent.video.probe import probe
from media_agent_schemas import (
    Capabilities,
    Estimate,
    GenerationRecord,
    JobStatus,
    ResumeToken,
    VideoJob,
    VideoRequest,
)
from media_agent_schemas.quality import FindingKind

pytestmark = pytest.mark.anyio
FPS = 12
REQUEST = VideoRequest(prompt="a cat", num_frames=4 * FPS, fps=FPS, seed=5, model="fickle")
STRIPES = (128 + 80 * np.sin(np.arange(32) * np.pi / 8)).astype(np.uint8)[None, :, None]
Black = Collection[tuple[int, int]]


class Fickle(LocalBackend):
    """Makes stripes that move, a second at a time; some chunks of some seeds are black."""

    hangs: ClassVar[set[int]] = set()
    """Seeds of which nothing comes until it is stopped."""

    def __init__(
        self, settings: BackendSettings, black: Black, extends: bool, price: float = 0.0
    ) -> None:
        super().__init__(settings)
        self.black, self.extends, self.price = black, extends, price

    @property
    def name(self) -> str:
        return "fickle"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="fickle",
            model="one",
            chunk_seconds=1.0,
            max_shots=None,
            max_n=3,
            seed=True,
            resumable=self.extends,
            extends=self.extends,
            resubmits=True,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        is_by_time = self.price < 0  # nobody knows how long it takes
        return Estimate(usd_per_second=-self.price) if is_by_time else Estimate(cost_usd=self.price)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first = 0 if context.resume is None else context.resume.next_chunk
        while request.seed in self.hangs:
            context.check()
            time.sleep(0.01)
        for index in range(first, 4):
            name = state_name(index + 1)
            token = ResumeToken(
                backend="fickle", model="one", next_chunk=index + 1, data={"state": name}
            )
            seeds = [(request.seed or 0) + number for number in range(request.n)]
            frames = np.stack([self._draw(seed, index) for seed in seeds])
            yield Chunk(
                index,
                frames if request.n > 1 else frames[0],
                token,
                lambda path: path.write_text("a state"),
            )

    def _draw(self, seed: int, index: int) -> np.ndarray:
        shape = (FPS, 32, 32, 3)
        if (seed, index) in self.black:
            return np.zeros(shape, np.uint8)
        moves = [np.roll(STRIPES, seed + index * FPS + frame, axis=1) for frame in range(FPS)]
        return np.broadcast_to(np.stack(moves), shape)


class World:
    """A data folder, and clients whose settings say what follows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def client(
        self,
        black: Black,
        findings: dict[str, Any],
        *,
        extends: bool = True,
        price: float = 0.0,
        embedding: EmbeddingSpec | None = None,
        **settings: Any,
    ) -> VideoClient:
        spec = BackendSpec("fickle", lambda settings: Fickle(settings, black, extends, price))
        embeddings = {} if embedding is None else {embedding.name: embedding}
        found = Discovery({"fickle": spec}, embeddings=embeddings)
        return VideoClient(
            settings=load_settings(
                data_dir=self.folder / "data",
                default_backend="fickle",
                quality="record",
                findings=findings,
                embedding=None if embedding is None else embedding.name,
                **settings,
            ),
            registry=Registry(found),
        )

    @property
    def out(self) -> Path:
        return self.folder / "cat.mp4"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def record_of(job: VideoJob) -> GenerationRecord:
    record = read_record(job)
    assert record is not None
    return record


REMAKE = {"black": {"action": "remake"}}


async def test_a_bad_chunk_is_made_again_with_another_seed_and_the_good_ones_stay(
    world: World,
) -> None:
    async with world.client([(5, 2)], REMAKE) as client:
        job = await client.generate(REQUEST, out=world.out)
        listed = await client.list()
        good = await client.generate(REQUEST.model_copy(update={"seed": 6}))

    assert job.status is JobStatus.COMPLETED, job.error
    record = record_of(job)
    (remake,) = record.remakes
    assert (remake.chunk, remake.seed, remake.delivered) == (2, 6, True)
    assert remake.because.kind is FindingKind.BLACK
    assert remake.remaining == ()
    assert record.quality is not None
    assert record.quality.findings == ()
    assert any("from chunk 2 on it was made again with seed 6" in said for said in job.warnings)
    frames = frames_of(job)
    assert len(frames) == 4 * FPS
    assert np.array_equal(frames[2 * FPS :], frames_of(good)[2 * FPS :])
    assert not np.array_equal(frames[: 2 * FPS], frames_of(good)[: 2 * FPS])
    assert frames.std(axis=(1, 2, 3)).min() > 10
    assert [each.id for each in listed] == [job.id]  # attempts are parts of it


async def test_attempts_end_and_the_best_one_is_delivered(world: World) -> None:
    black = [(seed, 1) for seed in (5, 6, 8)] + [(5, 3), (6, 3), (7, 3), (8, 3)]

    async with world.client(black, REMAKE) as client:
        job = await client.generate(REQUEST, out=world.out)

    record = record_of(job)
    assert job.status is JobStatus.COMPLETED
    assert [(each.chunk, each.seed, len(each.remaining)) for each in record.remakes] == [
        (1, 6, 2),  # as bad as before
        (1, 7, 1),  # better: the first chunk is fine, so that the next attempt begins later
        (3, 8, 1),
    ]
    assert [each.delivered for each in record.remakes] == [False, True, False]
    assert any("black" in said for said in job.warnings)


async def test_what_continues_a_video_continues_the_one_that_was_delivered(world: World) -> None:
    async with world.client([(5, 2)], REMAKE) as client:
        job = await client.generate(REQUEST, out=world.out)
        plan = await client.plan_branch(job.id, at=3, prompt="a dog", duration=1)

        assert job.plan.remade_as is not None
        assert plan.origin is not None
        assert plan.origin.job_id == job.plan.remade_as
        await client.remove(job.id)
        assert [*client.store.jobs.unsettled()] == []


async def test_a_model_without_states_delivers_with_a_warning(world: World) -> None:
    async with world.client([(5, 2)], REMAKE, extends=False) as client:
        job = await client.generate(REQUEST, out=world.out)

    assert job.status is JobStatus.COMPLETED
    assert any("cannot continue from a saved state" in said for said in job.warnings)
    assert any("the image is black" in said for said in job.warnings)
    assert record_of(job).remakes == ()


async def test_what_is_paid_for_by_its_time_is_not_made_again(world: World) -> None:
    async with world.client([(5, 2)], REMAKE, price=-0.01) as client:
        job = await client.generate(REQUEST, out=world.out)

    assert record_of(job).remakes == ()
    assert any("would be paid for" in warning for warning in job.warnings)


async def test_what_is_paid_for_is_not_made_again(world: World) -> None:
    async with world.client([(5, 2)], REMAKE, price=0.5) as client:
        job = await client.generate(REQUEST, out=world.out)

    assert job.status is JobStatus.COMPLETED
    assert record_of(job).remakes == ()
    assert any("would be paid for" in warning for warning in job.warnings)
    assert record_of(job).cost.usd == 0.5


async def test_a_finding_may_fail_the_job_and_the_video_is_kept_aside(world: World) -> None:
    async with world.client([(5, 2)], {"black": {"action": "fail"}}) as client:
        job = await client.generate(REQUEST, out=world.out)
        aside = client.store.jobs.folder(job.id) / "refused" / "video-1.mp4"

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code == "below_quality"
    assert "the image is black for 1.00 s" in job.error.message
    assert str(aside) in (job.error.hint or "")
    assert probe(aside).frames == 4 * FPS
    assert not world.out.exists()
    quality = record_of(job).quality
    assert quality is not None
    assert quality.findings[0].kind is FindingKind.BLACK


async def test_a_limit_of_the_settings_takes_the_place_of_the_usual_one(world: World) -> None:
    async with world.client([(5, 2)], {"black": {"limit": 1.5, "action": "fail"}}) as client:
        job = await client.generate(REQUEST, out=world.out)

    assert job.status is JobStatus.COMPLETED


async def test_of_several_videos_the_record_has_the_spread_and_not_the_best(world: World) -> None:
    async with world.client([(6, 2)], {"black": {"action": "warn"}}) as client:
        job = await client.generate(REQUEST.model_copy(update={"n": 3}), out=world.out)

    record = record_of(job)
    spread = {each.score: each for each in record.spread}
    assert (spread["findings"].minimum, spread["findings"].median) == (0, 0)
    assert spread["findings"].maximum > 0
    assert spread["brightness"].videos == 3
    darker, usual = spread["brightness"].minimum, spread["brightness"].median
    assert darker == pytest.approx(usual * 0.75, rel=0.05)
    assert record.quality is not None
    assert record.quality.brightness == pytest.approx(usual, rel=0.05)  # that of the first
    assert any(said.startswith("video 2, ") and "black" in said for said in job.warnings)


def count_light(image: np.ndarray) -> np.ndarray:
    return np.array([image.mean(), 255.0 - image.mean()])


async def test_an_embedding_of_a_plugin_judges_likeness(world: World) -> None:
    seen: list[tuple[int, ...]] = []

    def embed(image: np.ndarray) -> np.ndarray:
        seen.append(image.shape)
        return count_light(image)

    spec = EmbeddingSpec("light", lambda: embed, width=80, height=48)
    findings = {"subject_drift": {"limit": 0.99, "action": "warn"}}
    async with world.client([(5, 3)], findings, embedding=spec) as client:
        job = await client.generate(REQUEST, out=world.out)

    quality = record_of(job).quality
    assert quality is not None
    assert quality.drift is not None
    assert quality.drift.embedding == "light"
    assert set(seen) == {(48, 80, 3)}
    assert any("what is shown at the end" in said for said in job.warnings)


def explode() -> Callable[[np.ndarray], np.ndarray]:
    raise OSError("no weights")


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (explode, "embedding light raised OSError: no weights"),
        (lambda: lambda image: np.array([np.nan]), "no vector of finite numbers"),
        (lambda: lambda image: "a cat", "embedding light raised ValueError"),
    ],
)
async def test_an_embedding_that_breaks_is_a_warning_and_the_rest_is_measured(
    world: World, factory: Callable[[], Any], said: str
) -> None:
    async with world.client([], {}, embedding=EmbeddingSpec("light", factory)) as client:
        job = await client.generate(REQUEST, out=world.out)

    quality = record_of(job).quality
    assert quality is not None
    assert quality.drift is not None
    assert quality.drift.embedding is None
    assert any(said in each and "the simple embedding was used" in each for each in job.warnings)


async def test_a_job_that_is_stopped_ends_the_attempt_and_delivers_what_was_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fickle, "hangs", {6})

    async with world.client([(5, 2)], REMAKE) as client:
        job = await client.start(REQUEST, out=world.out)
        while not client.store.jobs.segments_of(job.id):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await client.cancel(job.id)
        while not (job := await client.get(job.id)).status.is_terminal:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (attempt,) = client.store.jobs.segments_of(job.id)
        stopped = await client.get(attempt)

    assert job.status is JobStatus.COMPLETED
    assert world.out.exists()
    assert stopped.status is JobStatus.CANCELLED
    assert any("is cancelled" in said for said in job.warnings)
    assert record_of(job).remakes == ()


async def test_an_attempt_that_a_process_left_is_continued_by_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fickle, "hangs", {6})
    async with world.client([(5, 2)], REMAKE) as client:
        job = await client.start(REQUEST, out=world.out)
        while not client.store.jobs.segments_of(job.id):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    monkeypatch.setattr(Fickle, "hangs", set())

    async with world.client([(5, 2)], REMAKE) as client:
        again = await client.resume(job.id)
        attempts = client.store.jobs.segments_of(job.id)

    assert again.status is JobStatus.COMPLETED, again.error
    (remake,) = record_of(again).remakes
    assert attempts == (remake.job_id,)
    assert remake.delivered
    assert frames_of(again).std(axis=(1, 2, 3)).min() > 10
