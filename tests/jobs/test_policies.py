"""Policies around a job: what they refuse is neither sent nor delivered, and the record says it."""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import PolicyFailedError, PolicyRefusedError
from media_agent.policy.decisions import (
    ALLOW,
    Amend,
    PolicySettings,
    PolicySpec,
    Refuse,
    Replace,
    VideoPolicy,
)
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.simulator.videos import write_video
from media_agent.video.probe import probe
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    Capabilities,
    ChangePrompt,
    Finish,
    GenerationRecord,
    JobCompleted,
    JobStarted,
    JobStatus,
    Marking,
    OperationRef,
    Shot,
    VideoJob,
    VideoRequest,
)
from media_agent_schemas.capabilities import Control
from tests.jobs.test_run import PaidBackend, Provider, no_sleep

pytestmark = pytest.mark.anyio
REQUEST = VideoRequest(prompt="a cat", duration=2, seed=0, model="paid")


class Stages(VideoPolicy):
    """Answers as a test says, by the name of the stage."""

    answers: Mapping[str, Any] = {}

    def before_plan(self, request, call):
        return self.answers.get("before_plan", lambda each: ALLOW)(request)

    def before_submit(self, plan, call):
        return self.answers.get("before_submit", lambda each: ALLOW)(plan)


class Watching(Stages):
    """Looks at the video too."""

    def after_result(self, plan, video, call):
        return self.answers.get("after_result", lambda each: ALLOW)(video)


class World:
    """A data folder and a provider that is paid."""

    def __init__(self, folder: Path, **facts: Any) -> None:
        self.folder = folder
        made = folder / "made.mp4"
        write_video(made, np.zeros((8, 16, 16, 3), np.uint8), fps=4)
        self.provider = Provider(made, **facts)

    def client(
        self,
        kind: type[Stages] = Watching,
        *,
        backend: type[PaidBackend] = PaidBackend,
        **answers: Any,
    ) -> VideoClient:
        """Return a client whose policy "house" answers so."""

        def make(settings: PolicySettings) -> VideoPolicy:
            policy = kind()
            policy.answers = answers
            return policy

        provider = self.provider
        paid = BackendSpec("paid", lambda settings: backend("paid", provider))
        house = {"house": PolicySpec("house", make)}
        return VideoClient(
            settings=load_settings(
                data_dir=self.folder / "data", default_backend="paid", policies={"house": {}}
            ),
            registry=Registry(Discovery({"paid": paid}, policies=house)),
            sleep=no_sleep,
        )

    @property
    def out(self) -> Path:
        return self.folder / "cat.mp4"

    def read_record(self, job: VideoJob) -> GenerationRecord:
        assert job.record_path is not None
        return GenerationRecord.model_validate_json(Path(job.record_path).read_bytes())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def no(*_: object) -> Refuse:
    return Refuse("no_cats", "cats are not made here")


async def test_a_refusal_before_the_plan_leaves_no_job_and_sends_nothing(world: World) -> None:
    async with world.client(before_plan=no) as client:
        with pytest.raises(PolicyRefusedError, match="cats are not made here"):
            await client.generate(REQUEST, out=world.out)
        with pytest.raises(PolicyRefusedError):
            await client.plan_all(REQUEST)

        assert await client.list() == []
    assert world.provider.posts == 0


async def test_a_refusal_before_the_submission_costs_nothing_and_stands_in_the_record(
    world: World,
) -> None:
    async with world.client(before_submit=no) as client:
        job = await client.generate(REQUEST, out=world.out)
        kept = await client.get(job.id)

    record = world.read_record(job)
    assert world.provider.posts == 0
    assert kept.status is JobStatus.FAILED
    assert kept.error is not None
    assert kept.error.code == "policy_refused"
    assert (kept.cost_usd, kept.cost_source) == (0.0, None)
    assert record.cost.source == "nothing accepted"
    assert [(note.stage, note.decision, note.code) for note in record.policies] == [
        ("before_plan", "allowed", None),
        ("before_submit", "refused", "no_cats"),
    ]
    assert not world.out.exists()


async def test_an_amended_request_is_made_and_both_are_recorded(world: World) -> None:
    def polite(request: VideoRequest) -> Amend:
        return Amend(request.model_copy(update={"prompt": f"{request.prompt}, please"}), "manners")

    def longer(plan: Any) -> Amend:
        words = f"{plan.request.prompt} and thanks"
        return Amend(plan.request.model_copy(update={"prompt": words}), "more manners")

    async with world.client(before_plan=polite, before_submit=longer) as client:
        job = await client.generate(REQUEST, out=world.out)

    record = world.read_record(job)
    assert job.status is JobStatus.COMPLETED
    assert record.asked.prompt == "a cat"
    assert record.sent.prompt == "a cat, please and thanks"
    told = [(each.used, each.reason) for each in record.adjusted if each.field == "prompt"]
    assert told == [
        ("a cat, please", "policy house: manners"),
        ("a cat, please and thanks", "policy house: more manners"),
    ]


async def test_a_refused_video_is_paid_kept_aside_and_not_delivered(world: World) -> None:
    async with world.client(after_result=no) as client:
        job = await client.generate(REQUEST, out=world.out)
        aside = client.store.jobs.folder(job.id) / "refused" / "video-1.mp4"

        assert job.status is JobStatus.FAILED
        assert job.error is not None
        assert job.error.code == "policy_refused"
        assert job.error.hint is not None
        assert str(aside) in job.error.hint
        assert "it was paid: 0.40 USD" in job.error.hint
        assert (job.cost_usd, job.cost_source) == (0.4, "billed")
        assert job.artifacts == ()
        assert probe(aside).frames == 8
        assert not world.out.exists()
        record = world.read_record(job)
        assert record.policies[-1].decision == "refused"
        assert record.cost.usd == 0.4
        assert record.artifacts == ()

        await client.remove(job.id)
        assert not aside.exists()


async def test_another_file_is_delivered_where_a_policy_says_so(
    world: World, tmp_path: Path
) -> None:
    blurred = tmp_path / "blurred.mp4"
    write_video(blurred, np.zeros((4, 16, 16, 3), np.uint8), fps=4)

    async with world.client(after_result=lambda video: Replace(blurred, "faces")) as client:
        job = await client.generate(REQUEST, out=world.out)

    assert job.status is JobStatus.COMPLETED
    assert probe(world.out).frames == 4
    assert world.read_record(job).policies[-1].reason == "faces"


class Marked(PaidBackend):
    """Says that its video has a watermark."""

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        marking = Marking(watermark="0x00000001")
        yield JobCompleted(artifacts=(Artifact(path=str(self.provider.video), marking=marking),))


@pytest.mark.parametrize("replaced", [False, True])
async def test_the_marks_of_a_video_are_not_said_of_the_file_in_its_place(
    world: World, tmp_path: Path, replaced: bool
) -> None:
    other = tmp_path / "other.mp4"
    write_video(other, np.zeros((4, 16, 16, 3), np.uint8), fps=4)
    answer = Replace(other, "faces") if replaced else ALLOW

    async with world.client(after_result=lambda video: answer, backend=Marked) as client:
        job = await client.generate(REQUEST, out=world.out)

    assert (job.artifacts[0].marking is None) == replaced


async def test_a_check_of_a_paid_video_that_breaks_is_made_again_by_resume(world: World) -> None:
    def broken(video: Path) -> None:
        raise OSError("no network")

    async with world.client(after_result=broken) as client:
        job = await client.generate(REQUEST, out=world.out)
    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert job.error.code == "policy_failed"
    assert not world.out.exists()

    async with world.client() as client:
        again = await client.resume(job.id)

    assert again.status is JobStatus.COMPLETED
    assert world.out.exists()
    assert len(world.provider.accepted) == 1


async def test_a_job_that_is_resumed_sends_what_was_amended_before(world: World) -> None:
    world.provider.ending = "working"
    world.provider.lookup = "key"

    def polite(plan: Any) -> Amend:
        return Amend(plan.request.model_copy(update={"prompt": "a dog"}), "dogs only")

    async with world.client(before_submit=polite) as client:
        job = await client.start(REQUEST, out=world.out)
        while world.provider.posts == 0:
            await no_sleep(0)
    world.provider.ending = "completed"

    async with world.client() as client:
        again = await client.resume(job.id)

    assert again.status is JobStatus.COMPLETED
    assert world.read_record(again).sent.prompt == "a dog"
    assert world.provider.posts == 1


class Twice(PaidBackend):
    """Makes two videos, the second of one frame."""

    def capabilities(self, model: str | None = None) -> Capabilities:
        return super().capabilities(model).model_copy(update={"max_n": 2})

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        yield JobStarted()
        short = self.provider.video.with_name("short.mp4")
        write_video(short, np.zeros((1, 16, 16, 3), np.uint8), fps=4)
        videos = tuple(Artifact(path=str(each)) for each in (self.provider.video, short))
        yield JobCompleted(artifacts=videos, cost=self.provider.cost)


async def test_of_several_videos_those_that_are_allowed_are_delivered(world: World) -> None:
    def first_only(video: Path) -> object:
        return ALLOW if probe(video).frames == 8 else no()

    async with world.client(after_result=first_only, backend=Twice) as client:
        job = await client.generate(REQUEST.model_copy(update={"n": 2}), out=world.out)

    assert job.status is JobStatus.COMPLETED
    assert [each.path for each in job.artifacts] == [str(world.out)]
    assert any("cats are not made here" in said and "kept in" in said for said in job.warnings)
    assert not world.out.with_name("cat-2.mp4").exists()


async def test_a_plan_says_what_policies_said_and_whether_the_video_is_held(world: World) -> None:
    async with world.client(Stages) as client:
        shown = await client.plan(REQUEST)
    async with world.client() as client:
        held = (await client.plan_all(REQUEST)).candidates[0].plan

    assert [note.decision for note in shown.policies] == ["allowed"]
    assert not shown.held
    assert held is not None
    assert held.held


class Steered(PaidBackend):
    """Takes prompts while it works, until it is stopped."""

    heard: ClassVar[list[ChangePrompt | Finish]] = []

    def capabilities(self, model: str | None = None) -> Capabilities:
        controls = {"controls": (Control.CHANGE_PROMPT,)}
        return super().capabilities(model).model_copy(update=controls)

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        self.heard.append(command)

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        yield JobStarted()
        while not self.heard:
            await no_sleep(0)
        yield JobCompleted(artifacts=(Artifact(path=str(self.provider.video)),))


async def test_a_prompt_that_steers_passes_the_policies_too(world: World) -> None:
    def dogs(request: VideoRequest) -> object:
        if request.prompt == "a snake":
            return no()
        if request.prompt == "a cat":
            return ALLOW
        if request.prompt == "a rat":
            shots = (Shot(prompt="no rat", duration=1),)
            return Amend(VideoRequest(shots=shots), "in parts")
        return Amend(request.model_copy(update={"prompt": "a dog"}), "dogs only")

    async with world.client(before_plan=dogs, backend=Steered) as client:
        job = await client.start(REQUEST)
        with pytest.raises(PolicyRefusedError, match="cats are not made here"):
            await client.steer(job.id, "a snake")
        with pytest.raises(PolicyFailedError, match="policy house: in parts: it left no prompt"):
            await client.steer(job.id, "a rat")
        await client.steer(job.id, "a hare")
        while not (job := await client.get(job.id)).status.is_terminal:
            await no_sleep(0)

    (heard,) = Steered.heard
    assert isinstance(heard, ChangePrompt)
    assert heard.prompt == "a dog"
    assert any("dogs only" in said for said in job.warnings)
